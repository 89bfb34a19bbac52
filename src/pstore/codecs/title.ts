/**
 * What a dump's text begins with: the proof that a codec without a checksum was the right one.
 *
 * Source: doc/formats.md 1.7; fs/pstore/platform.c (pstore_dump, `%s#%d Part%u\n`), which has written it since
 * before there were codecs. The reasons' words differ from kernel to kernel.
 */
import type { SizedContent } from '../content.js'

const title = /^[A-Z][a-z]+#\d{1,10} Part\d{1,10}\n/
/** Bytes of the longest that is believed. */
const longest = 48

export const beginsAsDump = (text: Buffer): boolean =>
  title.test(text.toString('latin1', 0, longest))

export const isDumpText = (text: SizedContent): boolean => beginsAsDump(text.slice(0, longest))
