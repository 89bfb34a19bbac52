/** The C library's functions, for what Node has none (native-notes/koffi.md). */
import { createRequire } from 'node:module'
import os from 'node:os'
import type Koffi from 'koffi'

const require = createRequire(import.meta.url)

/** Loaded when it is first needed: few commands need it, and it takes 6 ms. */
export const loadLibc = (): { koffi: typeof Koffi; libc: ReturnType<typeof Koffi.load> } => {
  const koffi = require('koffi') as typeof Koffi
  return { koffi, libc: koffi.load(null) }
}

/** `EINVAL` for 22. */
export const errnoName = (errno: number): string =>
  Object.entries(os.constants.errno).find(([, n]) => n === errno)?.[0] ?? `error ${errno}`
