/**
 * A kernel's symbols, and its `%ps` and `%pS` of an address.
 *
 * Source: Linux kernel/kallsyms.c (kallsyms_lookup_buildid, get_symbol_pos, __sprint_symbol),
 * kernel/module/kallsyms.c (find_kallsyms_symbol), scripts/kallsyms.c (the content
 * and order of the kernel's own table), include/asm-generic/sections.h (the kernel's own addresses).
 *
 * An address is two unsigned halves, `hi` and `lo`: no double holds 64 bits, and a BigInt would be
 * allocated at each step of a search.
 */
import zlib from 'node:zlib'
import { readWhole } from '../native/open.js'
import { StoreError } from '../pstore/errors.js'

/** The most bytes of a file, also inflated. The largest kernel has a million symbols in 50 MB. */
const maxSize = 128 << 20
/** KSYM_NAME_LEN: scripts/kallsyms.c leaves out longer names. */
const maxName = 511
/** MODULE_NAME_LEN, generously. */
const maxModule = 63
/** Addresses are padded to the machine's width, so the shortest lines are those of a 32-bit machine. */
const minDigits = 8
const maxDigits = 16
const minLine = '00000000 t x\n'.length
const pageSize = 4096

/** A number as the kernel's `%lx` prints it. */
const hex = (hi: number, lo: number): string =>
  hi ? hi.toString(16) + lo.toString(16).padStart(8, '0') : lo.toString(16)

/**
 * A kernel's symbols.
 *
 * They belong to one boot: the addresses of a randomized kernel (KASLR) are only in a copy of that boot's
 * /proc/kallsyms, not in a System.map.
 */
export class Symbols {
  /** The file, from which names are cut on demand. */
  readonly #text: Buffer
  readonly #spans: Spans
  /** Where the kernel's image starts; null where the file does not tell. */
  readonly start: bigint | null

  constructor(text: Buffer, spans: Spans, start: bigint | null) {
    this.#text = text
    this.#spans = spans
    this.start = start
  }

  /** `%ps`: `name` or `name [module]`; null where no function is known. */
  name(hi: number, lo: number): string | null {
    const i = this.#find(hi, lo)
    return i < 0 ? null : this.#name(i) + this.#suffix(i)
  }

  /** `%pS`: `name+0xOFFSET/0xSIZE`, `name+0xOFFSET/0xSIZE [module]`; null where no function is known. */
  nameAndOffset(hi: number, lo: number): string | null {
    const i = this.#find(hi, lo)
    if (i < 0) return null
    const { hi: his, lo: los } = this.#spans
    const offset = minus(hi, lo, his[i]!, los[i]!)
    const size = minus(his[i + 1]!, los[i + 1]!, his[i]!, los[i]!)
    return `${this.#name(i)}+0x${offset}/0x${size}${this.#suffix(i)}`
  }

  /** Is an address a function's? */
  isFunction(hi: number, lo: number): boolean {
    const i = this.#find(hi, lo)
    return i >= 0 && textTypes[this.#text[this.#spans.name[i]! - 2]!] === 1
  }

  /** How far behind a function's start an address is, in bytes; null where no function is known. */
  distance(hi: number, lo: number): number | null {
    const i = this.#find(hi, lo)
    if (i < 0) return null
    const { hi: his, lo: los } = this.#spans
    return (hi - his[i]!) * 2 ** 32 + (lo - los[i]!)
  }

  /** The span of an address; -1 where it has no name. */
  #find(hi: number, lo: number): number {
    const { length, hi: his, lo: los, name } = this.#spans
    let low = 0
    for (let high = length; low < high;) {
      const mid = (low + high) >>> 1
      if (below(hi, lo, his[mid]!, los[mid]!)) high = mid
      else low = mid + 1
    }
    return low > 0 && name[low - 1] ? low - 1 : -1
  }

  #name(i: number): string {
    return wordAt(this.#text, this.#spans.name[i]!)
  }

  #suffix(i: number): string {
    const at = this.#spans.module[i]
    if (!at) return ''
    const module = wordAt(this.#text, at)
    // The file marks BPF programs as a module; the kernel's bpf_address_lookup names none.
    return module === 'bpf]' ? '' : ` [${module}`
  }
}

/**
 * Read a System.map or a copy of /proc/kallsyms, plain or gzipped.
 *
 * @throws StoreError (`FILE: WHY`) where the file cannot be read, or has no symbols
 */
export const loadSymbols = (path: string): Symbols => {
  const bytes = readWhole(path, maxSize)
  const text = bytes[0] === 0x1f && bytes[1] === 0x8b ? inflate(path, bytes) : bytes
  const parsed = parse(text)
  if (parsed.length === 0)
    throw new StoreError(`${path}: no symbols in it; give a System.map or a copy of /proc/kallsyms`)
  if (!parsed.hi.some(half => half) && !parsed.lo.some(half => half))
    throw new StoreError(
      `${path}: all addresses in it are 0: copy /proc/kallsyms as root (kptr_restrict)`,
    )
  return new Symbols(text, makeSpans(text, parsed), startOf(text, parsed))
}

/** MIPS has no `_text`, and `_stext` is all that is known. */
const startNames = ['_text', '_stext']

const startOf = (text: Buffer, { length, hi, lo, name, module }: Parsed): bigint | null => {
  const found = new Map<string, bigint>()
  for (let i = 0; i < length; i++) {
    if (module[i] || text[name[i]!] !== 0x5f) continue
    const word = wordAt(text, name[i]!)
    if (startNames.includes(word)) found.set(word, (BigInt(hi[i]!) << 32n) | BigInt(lo[i]!))
  }
  for (const word of startNames) {
    const start = found.get(word)
    if (start !== undefined) return start
  }
  return null
}

const inflate = (path: string, bytes: Buffer): Buffer => {
  try {
    return zlib.gunzipSync(bytes, { maxOutputLength: maxSize })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw code === 'ERR_BUFFER_TOO_LARGE'
      ? tooLarge(path)
      : new StoreError(`${path}: cannot be inflated: ${message}`)
  }
}

const tooLarge = (path: string): StoreError =>
  new StoreError(
    `${path}: more than ${maxSize >>> 20} MiB: no System.map and no copy of /proc/kallsyms`,
  )

/** Symbols in the file's order, each an index into all arrays, which may be longer. */
interface Parsed {
  length: number
  hi: Uint32Array
  lo: Uint32Array
  /** The start of the name in the file. */
  name: Uint32Array
  /** The start of the module's name, the same for neighbours of one module; 0: no module. */
  module: Uint32Array
  /** The rank among symbols with one address: the kernel takes the lowest. */
  rank: Uint16Array
  /** 1: the symbol is a function. */
  isText: Uint8Array
}

/**
 * Addresses in order, each the start of a span that reaches to the next. One more address is the last span's
 * end: 0, which stands for 2^64.
 *
 * A span's name is 0 where the kernel would print the address.
 */
type Spans = Pick<Parsed, 'length' | 'hi' | 'lo' | 'name' | 'module'>

const below = (hi: number, lo: number, otherHi: number, otherLo: number): boolean =>
  hi === otherHi ? lo < otherLo : hi < otherHi

/** a - b, modulo 2^64, in hexadecimal. */
const minus = (aHi: number, aLo: number, bHi: number, bLo: number): string =>
  hex((aHi - bHi - (aLo < bLo ? 1 : 0)) >>> 0, (aLo - bLo) >>> 0)

/** The bytes of a name. A file must not bring others, such as escape sequences, to a terminal. */
const isNameByte = (c: number): boolean => c > 0x20 && c < 0x7f
const isBlank = (c: number): boolean => c === 0x20 || (c >= 9 && c <= 13)

const wordEnd = (text: Buffer, at: number): number => {
  while (at < text.length && isNameByte(text[at]!)) at++
  return at
}
const wordAt = (text: Buffer, at: number): string => text.toString('latin1', at, wordEnd(text, at))

const startsWith = (text: Buffer, at: number, end: number, prefix: Buffer): boolean => {
  if (end - at < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (text[at + i] !== prefix[i]) return false
  return true
}

/** The value of a hexadecimal digit, by its byte; 16 for any other. */
const digits = new Uint8Array(256).fill(16)
for (let i = 0; i < 16; i++) {
  digits[i.toString(16).charCodeAt(0)] = i
  digits[i.toString(16).toUpperCase().charCodeAt(0)] = i
}

/** nm's types, by their letters' bytes. */
const types = (letters: string): Uint8Array => {
  const table = new Uint8Array(256)
  for (const letter of Buffer.from(letters)) table[letter] = 1
  return table
}
/** Types without an address of their own: absolute, debugging, undefined (is_ignored_symbol). */
const ignoredTypes = types('aAnNuU')
const textTypes = types('tTwW')
const weakTypes = types('wW')
/** The prefix of pseudo-modules: pages for trampolines, which only kallsyms lists. */
const builtin = Buffer.from('__builtin__')

/** Compilers' labels within functions (scripts/mksysmap, is_mapping_symbol). */
const isLabel = (first: number, second: number): boolean =>
  first === 0x24 || (first === 0x2e && second === 0x4c) || (first === 0x4c && second === 0x30)

/** Parse the lines that are symbols: `ADDRESS TYPE NAME`, and `[MODULE]` after a tab. */
const parse = (text: Buffer): Parsed => {
  let lines = 1
  for (let at = text.indexOf(10); at >= 0; at = text.indexOf(10, at + 1)) lines++
  const room = Math.min(lines, Math.floor((text.length + 1) / minLine))
  const hi = new Uint32Array(room)
  const lo = new Uint32Array(room)
  const name = new Uint32Array(room)
  const module = new Uint32Array(room)
  const rank = new Uint16Array(room)
  const isText = new Uint8Array(room)

  let length = 0
  /** The last line's module. */
  let owner = 0
  let ownerLength = 0

  const parseLine = (start: number, end: number): void => {
    let at = start
    let high = 0
    let low = 0
    for (; at < end && digits[text[at]!]! < 16; at++) {
      high = ((high << 4) | (low >>> 28)) >>> 0
      low = ((low << 4) | digits[text[at]!]!) >>> 0
    }
    if (at - start < minDigits || at - start > maxDigits) return
    if (end - at < 4 || text[at] !== 0x20 || text[at + 2] !== 0x20) return
    const type = text[at + 1]!
    const nameStart = at + 3
    const nameEnd = wordEnd(text, nameStart)
    if (nameEnd === nameStart || nameEnd - nameStart > maxName) return
    if (ignoredTypes[type] || isLabel(text[nameStart]!, text[nameStart + 1]!)) return

    for (at = nameEnd; at < end && isBlank(text[at]!); at++);
    let ofModule = 0
    if (at < end) {
      const closing = wordEnd(text, at) - 1
      if (text[at] !== 0x5b || text[closing] !== 0x5d) return
      at++
      if (at === closing || closing - at > maxModule || startsWith(text, at, closing, builtin))
        return
      const same =
        owner > 0 &&
        ownerLength === closing - at &&
        text.compare(text, owner, owner + ownerLength, at, closing) === 0
      ofModule = same ? owner : at
      ownerLength = closing - at
    }
    owner = ofModule

    hi[length] = high
    lo[length] = low
    name[length] = nameStart
    module[length] = ofModule
    // The first of a module's symbols with one address counts (find_kallsyms_symbol).
    rank[length] = ofModule ? 0 : rankOf(text, type, nameStart, nameEnd)
    isText[length] = textTypes[type]!
    length++
  }

  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = text.indexOf(10, start)
    if (end < 0) end = text.length
    parseLine(start, end)
  }
  return { length, hi, lo, name, module, rank, isText }
}

const underscores = Buffer.from('__')
const sectionStart = Buffer.from('__start_')
const sectionStop = Buffer.from('__stop_')
const sectionEnd = Buffer.from('__end_')
const startSuffix = Buffer.from('_start')
const endSuffix = Buffer.from('_end')

/** Whether the linker script may have made the symbol (may_be_linker_script_provide_symbol). */
const isProvided = (text: Buffer, at: number, end: number): boolean =>
  end - at >= 8 &&
  startsWith(text, at, end, underscores) &&
  (startsWith(text, at, end, sectionStart) ||
    startsWith(text, at, end, sectionStop) ||
    startsWith(text, at, end, sectionEnd) ||
    startsWith(text, end - startSuffix.length, end, startSuffix) ||
    startsWith(text, end - endSuffix.length, end, endSuffix))

/**
 * The order of an address's aliases (compare_symbols): weak ones last, then a linker script's, then those with more
 * leading underscores; else nm's order. A copy of /proc/kallsyms is in this order already, a System.map is not.
 */
const rankOf = (text: Buffer, type: number, at: number, end: number): number => {
  let underscores = 0
  while (at + underscores < end && text[at + underscores] === 0x5f) underscores++
  const weak = weakTypes[type] ? 1024 : 0
  return weak + (underscores >= 2 && isProvided(text, at, end) ? 512 : 0) + underscores
}

/** The symbols' indices by address, then by rank, then in the file's order. */
const sort = ({ length, hi, lo, rank }: Parsed): Uint32Array => {
  const compare = (a: number, b: number): number =>
    hi[a]! - hi[b]! || lo[a]! - lo[b]! || rank[a]! - rank[b]! || a - b
  const order = new Uint32Array(length)
  let sorted = true
  for (let i = 0; i < length; i++) {
    order[i] = i
    if (i > 0 && compare(i - 1, i) > 0) sorted = false
  }
  return sorted ? order : order.sort(compare)
}

/** A range of addresses, from one symbol's up to another's. */
interface Range {
  hi: number
  lo: number
  endHi: number
  endLo: number
}

const isIn = (ranges: Range[], hi: number, lo: number): boolean => {
  for (const range of ranges)
    if (!below(hi, lo, range.hi, range.lo) && below(hi, lo, range.endHi, range.endLo)) return true
  return false
}
const isEndOf = (ranges: Range[], hi: number, lo: number): boolean =>
  ranges.some(range => hi === range.endHi && lo === range.endLo)

const boundNames = new Set([
  '_stext',
  '_etext',
  '_sinittext',
  '_einittext',
  '_end',
  '__init_begin',
  '__init_end',
])

/**
 * The addresses that the kernel takes for its own (is_ksym_addr): with CONFIG_KALLSYMS_ALL its whole image, else its
 * functions. Addresses outside have no name, even after a symbol.
 *
 * @returns null where the file does not tell, as when it was cut
 */
const kernelRanges = (text: Buffer, { length, hi, lo, name, module }: Parsed): Range[] | null => {
  const bounds = new Map<string, number>()
  for (let i = 0; i < length; i++)
    if (!module[i] && text[name[i]!] === 0x5f) {
      const word = wordAt(text, name[i]!)
      if (boundNames.has(word)) bounds.set(word, i)
    }
  const range = (start: string, end: string): Range[] => {
    const i = bounds.get(start)
    const j = bounds.get(end)
    return i === undefined || j === undefined
      ? []
      : [{ hi: hi[i]!, lo: lo[i]!, endHi: hi[j]!, endLo: lo[j]! }]
  }
  const functions = range('_stext', '_etext')
  if (functions.length === 0) return null
  functions.push(...range('_sinittext', '_einittext'))

  // Without CONFIG_KALLSYMS_ALL, only bounds of sections lie outside (symbol_valid).
  const isData = (i: number): boolean =>
    !module[i] &&
    !isIn(functions, hi[i]!, lo[i]!) &&
    !isEndOf(functions, hi[i]!, lo[i]!) &&
    !startsWith(text, name[i]!, text.length, sectionStart) &&
    !startsWith(text, name[i]!, text.length, sectionStop)
  let all = false
  for (let i = 0; i < length && !all; i++) all = isData(i)
  if (!all) return functions
  const image = range('_stext', '_end')
  return image.length ? [...image, ...range('__init_begin', '__init_end')] : null
}

/** Turn symbols into spans: in order, one for each address, and with unnamed spans outside the ranges. */
const makeSpans = (text: Buffer, parsed: Parsed): Spans => {
  const { length: symbols, hi, lo, name, module, isText } = parsed
  const ranges = kernelRanges(text, parsed)
  const order = sort(parsed)
  const room = 2 * symbols + 1
  const spans = {
    hi: new Uint32Array(room),
    lo: new Uint32Array(room),
    name: new Uint32Array(room),
    module: new Uint32Array(room),
  }
  let length = 0
  const add = (high: number, low: number, named: number, owner: number): void => {
    spans.hi[length] = high
    spans.lo[length] = low
    spans.name[length] = named
    spans.module[length] = owner
    length++
  }

  for (let at = 0, next = 0; at < symbols; at = next) {
    const i = order[at]!
    // The first of those that share the address, and the first of the next address.
    for (next = at + 1; next < symbols && hi[order[next]!] === hi[i] && lo[order[next]!] === lo[i];)
      next++
    if (!module[i] && ranges) {
      // A range's end is a symbol too, so each gap between two symbols is in a range or out of it.
      add(hi[i]!, lo[i]!, isIn(ranges, hi[i]!, lo[i]!) ? name[i]! : 0, 0)
      continue
    }
    add(hi[i]!, lo[i]!, name[i]!, module[i]!)
    // A module's last function ends with the module's text. No symbol tells where that is, but it
    // takes whole pages: the next page's start is right unless the function crosses it.
    const following = order[next]!
    const goesOn =
      next < symbols && module[following] === module[i] && isText[following] === isText[i]
    if (goesOn) continue
    const endLo = ((lo[i]! | (pageSize - 1)) + 1) >>> 0
    const endHi = (hi[i]! + (endLo === 0 ? 1 : 0)) >>> 0
    if (next < symbols ? below(endHi, endLo, hi[following]!, lo[following]!) : endHi || endLo)
      add(endHi, endLo, 0, 0)
  }
  return {
    length,
    hi: spans.hi.slice(0, length + 1),
    lo: spans.lo.slice(0, length + 1),
    name: spans.name.slice(0, length + 1),
    module: spans.module.slice(0, length + 1),
  }
}
