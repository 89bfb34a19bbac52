/**
 * ftrace records as text, a line for each: a function, and who called it.
 *
 * Source: doc/formats.md 1.9 and 7.4; fs/pstore/inode.c (pstore_ftrace_seq_show), include/linux/pstore.h
 * (pstore_ftrace_decode_cpu, pstore_ftrace_read_timestamp).
 */
import { chunksOf } from '../pstore/content.js'
import type { FtraceRecords, FtraceText, RenderedFtrace } from '../pstore/ftrace.js'
import type { KernelOffset } from '../pstore/kernel-offset.js'
import { formOf, viewOf } from './ftrace-form.js'
import { mergeFtrace } from './ftrace-merge.js'
import { placeOf, type Place } from './ftrace-place.js'
import type { Symbols } from './kallsyms.js'
import { TextBuffer } from './text-buffer.js'

const none = Buffer.alloc(0)

/** Addresses whose names are kept while rendering, a power of two: some thousand are busy in a kernel. */
const maxCached = 8192

/** A cache of addresses' names; an address's bits give it its one place. */
class NameCache {
  readonly #names: Buffer[]
  readonly #name: (hi: number, lo: number) => string | null
  readonly #mask: number
  readonly #hi: Uint32Array
  readonly #lo: Uint32Array

  /** @param uses the number of look-ups to expect */
  constructor(name: (hi: number, lo: number) => string | null, uses: number) {
    let size = 1
    while (size < uses && size < maxCached) size *= 2
    this.#names = Array.from({ length: size }, () => none)
    this.#name = name
    this.#mask = size - 1
    this.#hi = new Uint32Array(size)
    this.#lo = new Uint32Array(size)
  }

  /** The bytes of an address's name; empty where it has no name. */
  find(hi: number, lo: number): Buffer {
    const mixed = Math.imul(lo ^ Math.imul(hi, 0x85ebca6b), 0x9e3779b1)
    const place = (mixed ^ (mixed >>> 16)) & this.#mask
    const found = this.#names[place]!
    if (found.length > 0 && this.#hi[place] === hi && this.#lo[place] === lo) return found
    const name = this.#name(hi, lo)
    // Unnamed addresses are not cached: there are too many of them.
    if (name === null) return none
    this.#hi[place] = hi
    this.#lo[place] = lo
    return (this.#names[place] = Buffer.from(name, 'latin1'))
  }
}

const cpuLabel = Buffer.from('CPU:')
const minus = Buffer.from('-')
const timeLabel = Buffer.from(' ts:')
const blank = Buffer.from(' ')
const blanks = Buffer.from('  ')
const from = Buffer.from(' <- ')
const prefix = Buffer.from('0x')

/** Bytes; a line without its two names is shorter. */
const lineRoom = 128

/** `%llu`, in limbs of 20 bits, as a double holds only 53. */
const putTime = (lines: TextBuffer, hi: number, lo: number): void => {
  const upper = hi * 2 ** 12 + (lo >>> 20)
  const carried = (upper % 1e9) * 2 ** 20 + (lo & 0xfffff)
  const billions = Math.floor(upper / 1e9) * 2 ** 20 + Math.floor(carried / 1e9)
  if (billions >= 1e9) lines.decimal(Math.floor(billions / 1e9))
  if (billions > 0) lines.decimal(billions % 1e9, billions >= 1e9 ? 9 : 1)
  lines.decimal(carried % 1e9, billions > 0 ? 9 : 1)
}

/** `%d` of a `u32`, as Linux has it. */
const putCpu = (lines: TextBuffer, cpu: number): void => {
  const signed = cpu | 0
  if (signed < 0) lines.text(minus)
  lines.decimal(Math.abs(signed))
}

/** An address's name; the address itself where it has no name. */
const putName = (lines: TextBuffer, name: Buffer, hi: number, lo: number): void => {
  if (name.length > 0) lines.text(name)
  else {
    lines.text(prefix)
    lines.hex(hi, lo, 1)
  }
}

/** The number of records that are rendered at once. */
const chunkRecords = 1024

/** Two halves of an address: no double holds 64 bits, and a BigInt would be allocated for each. */
interface Address {
  hi: number
  lo: number
}

/** Decode an address as Linux 7.1 and later do (fs/pstore/ftrace.c, decode_ip): it is changed where it is. */
const decode = (address: Address, { offset }: Place): void => {
  if (address.hi < 0x80000000) {
    address.hi = (address.hi | 0x80000000) >>> 0
    return
  }
  const low = address.lo + offset.lo
  address.hi = (address.hi + offset.hi + (low > 0xffffffff ? 1 : 0)) >>> 0
  address.lo = low >>> 0
}

/** The text of records, a chunk at a time, as the text is four times as long as the records. */
class FtraceContent implements RenderedFtrace {
  readonly #view: DataView
  readonly #little: boolean
  readonly #chunks: number
  readonly #place: Place
  readonly #callees: NameCache | null
  readonly #callers: NameCache | null
  readonly #lines = new TextBuffer()
  readonly #ip: Address = { hi: 0, lo: 0 }
  readonly #caller: Address = { hi: 0, lo: 0 }
  /** The known starts of chunks in the text. */
  readonly #starts = [0]
  #rendered = { chunk: -1, bytes: none }

  constructor(
    readonly records: FtraceRecords,
    readonly offsets: readonly KernelOffset[],
    symbols: Symbols | undefined,
  ) {
    const { bytes, endian, form } = records
    this.#view = viewOf(bytes)
    this.#little = endian === 'little'
    const count = bytes.length / form.size
    this.#chunks = Math.ceil(count / chunkRecords)
    this.#place = placeOf(records, symbols, offsets)
    this.#callees = symbols ? new NameCache((hi, lo) => symbols.name(hi, lo), count) : null
    this.#callers = symbols ? new NameCache((hi, lo) => symbols.nameAndOffset(hi, lo), count) : null
  }

  slice(offset: number, length: number): Buffer {
    // The last chunk with a known start at or before the offset.
    let [chunk, end] = [0, this.#starts.length]
    while (end - chunk > 1) {
      const middle = (chunk + end) >>> 1
      if (this.#starts[middle]! <= offset) chunk = middle
      else end = middle
    }
    for (; chunk < this.#chunks; chunk++) {
      const bytes = this.#chunk(chunk)
      const at = offset - this.#starts[chunk]!
      if (at < bytes.length) return bytes.subarray(at, at + length)
    }
    return none
  }

  all(): Buffer {
    return Buffer.concat([...chunksOf(this)])
  }

  get held(): readonly Buffer[] {
    return [this.records.bytes]
  }

  #chunk(chunk: number): Buffer {
    if (this.#rendered.chunk !== chunk) {
      this.#render(chunk * chunkRecords)
      const bytes = Buffer.from(this.#lines.bytes)
      this.#rendered = { chunk, bytes }
      this.#starts[chunk + 1] = this.#starts[chunk]! + bytes.length
    }
    return this.#rendered.bytes
  }

  #load(address: Address, at: number): void {
    const { word } = this.records.form
    const little = this.#little
    address.hi = word === 8 ? this.#view.getUint32(little ? at + 4 : at, little) : 0
    address.lo = this.#view.getUint32(word === 8 && !little ? at + 4 : at, little)
  }

  /** The bytes of an address's name; empty where it has none, or has to have none. */
  #nameOf(cache: NameCache | null, { hi, lo }: Address, encoded: boolean): Buffer {
    if (!cache) return none
    if (encoded) return cache.find(hi, lo)
    const { named, shift } = this.#place
    if (!named) return none
    const low = lo + shift.lo
    const high = hi + shift.hi + (low > 0xffffffff ? 1 : 0)
    return cache.find(this.records.form.word === 8 ? high >>> 0 : 0, low >>> 0)
  }

  /** @param first the number of the first record */
  #render(first: number): void {
    const lines = this.#lines
    const view = this.#view
    const little = this.#little
    const { bytes, form } = this.records
    const { size, word, time, cpu } = form
    const place = this.#place
    const ip = this.#ip
    const caller = this.#caller
    // The offsets of a 64-bit time's halves.
    const high = 2 * word + (little ? 4 : 0)
    const low = 2 * word + (little ? 0 : 4)
    const last = Math.min(first + chunkRecords, bytes.length / size)
    lines.cut(0)
    for (let record = first; record < last; record++) {
      const at = record * size
      const timeHi = time ? view.getUint32(at + high, little) : 0
      const timeLo = time ? view.getUint32(at + low, little) : 0
      this.#load(ip, at)
      this.#load(caller, at + word)
      const encoded =
        typeof place.encoded === 'boolean' ? place.encoded : place.encoded[record] === 1
      if (encoded) {
        decode(ip, place)
        decode(caller, place)
      }
      const callee = this.#nameOf(this.#callees, ip, encoded)
      const callerName = this.#nameOf(this.#callers, caller, encoded)
      lines.reserve(lineRoom + callee.length + callerName.length)
      lines.text(cpuLabel)
      if (cpu === 'time') lines.decimal(timeLo & 0xff)
      else if (cpu === 'field') putCpu(lines, view.getUint32(at + 2 * word, little))
      else lines.decimal(ip.lo & cpu)
      lines.text(timeLabel)
      if (cpu === 'time') putTime(lines, timeHi >>> 8, ((timeHi << 24) | (timeLo >>> 8)) >>> 0)
      else putTime(lines, timeHi, timeLo)
      lines.text(blank)
      lines.hex(ip.hi, ip.lo, 8)
      lines.text(blanks)
      lines.hex(caller.hi, caller.lo, 8)
      lines.text(blanks)
      putName(lines, callee, ip.hi, ip.lo)
      lines.text(from)
      putName(lines, callerName, caller.hi, caller.lo)
      lines.end()
    }
  }
}

/**
 * What makes ftrace's text of records: a line each, `CPU:%d ts:%llu %08lx  %08lx  %ps <- %pS`, rendered as it is
 * read.
 *
 * @param symbols without them all names are addresses, as those of unknown functions are
 */
export const ftraceTextWith = (symbols?: Symbols): FtraceText => ({
  form: formOf,
  merge: mergeFtrace,
  render: (records, offsets) => new FtraceContent(records, offsets, symbols),
})
