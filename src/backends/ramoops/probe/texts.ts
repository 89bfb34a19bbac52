/**
 * Texts that describe a region: a kernel's command line, lines of modprobe.d, what grep prints of sysfs, a log.
 *
 * Source: doc/formats.md 1.12; fs/pstore/ram.c (ramoops_probe's last line), init/main.c (`Kernel command line:`).
 */
import {
  describeCommandLine,
  describeModprobe,
  describePrinted,
  moduleDefaults,
  type Said,
} from './boot-parameters.js'
import type { Description } from './found.js'
import { sizeParameters } from '../layout.js'

export interface TextSaid extends Said {
  kind:
    'a kernel command line' | 'a modprobe.d file' | 'a list of module parameters' | "a kernel's log"
}

/** A line as long as printk makes one: it may have been cut. */
const longestLine = 900

/** The last match of a pattern. */
const last = (text: string, pattern: RegExp): RegExpExecArray | undefined =>
  [...text.matchAll(pattern)].at(-1)

/** The order that a kernel of a version has. */
const presetOf = (major: number, minor: number): string => {
  const version = major * 1000 + minor
  if (version >= 6002) return 'linux-6.2'
  if (version >= 4010) return 'linux-pre-6.2'
  return version > 3010 ? 'linux-pre-4.10' : 'linux-3.x'
}

/** What a log says of the last boot that ramoops is in; null where it says nothing. */
export const describeLog = (text: string): Said | null => {
  const [, command] = last(text, /\b(?:Kernel command line|Command line): ([^\r\n]*)/g) ?? []
  const line =
    command !== undefined && command.length >= longestLine ? command.replace(/\S*$/, '') : command
  const said = line === undefined ? null : describeCommandLine(line)
  const [shown, size, address, ecc] =
    last(text, /\bramoops: using 0x([0-9a-f]{1,13})@0x([0-9a-f]{1,13}), ecc: (\d{1,3})\b/g) ?? []
  if (shown === undefined) return said
  const used = {
    mem_size: parseInt(size!, 16),
    mem_address: parseInt(address!, 16),
    ecc: Number(ecc),
  }
  const ofLine = said?.description
  // A size that differs is of another source: a device tree's region was taken.
  const isOfLine = ofLine?.parameters.mem_size === used.mem_size
  const [, major, minor] = last(text, /\bLinux version (\d{1,2})\.(\d{1,3})/g) ?? []
  const preset = major === undefined ? {} : { preset: presetOf(Number(major), Number(minor)) }
  const description: Description = {
    parameters: {
      ...(isOfLine ? ofLine.parameters : moduleDefaults),
      ...used,
      ...preset,
    },
    evidence: [
      `the log's line \`${shown}\``,
      ...(isOfLine ? ofLine.evidence : []),
      ...(major === undefined ? [] : [`the log's Linux version ${major}.${minor}`]),
    ],
    open: isOfLine
      ? ofLine.open.filter(name => name !== 'mem_address' && name !== 'mem_size')
      : [...sizeParameters, 'flags'],
    ...(major === undefined ? {} : { isOrderKnown: true }),
  }
  return { description, notes: said && !isOfLine ? said.notes : [] }
}

/** What a text describes; null where nothing in it is ramoops's. */
export const describeText = (text: string): TextSaid | null => {
  const readers = [
    ["a kernel's log", describeLog],
    ['a list of module parameters', describePrinted],
    ['a modprobe.d file', describeModprobe],
    ['a kernel command line', describeCommandLine],
  ] as const
  for (const [kind, read] of readers) {
    const said = read(text)
    if (said) return { kind, ...said }
  }
  return null
}
