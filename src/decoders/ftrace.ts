/**
 * ftrace records, each a function and its caller: merged over CPUs, and rendered as text.
 *
 * Source: doc/formats.md 1.9; fs/pstore/ftrace.c (pstore_ftrace_combine_log), fs/pstore/inode.c
 * (pstore_ftrace_seq_show), include/linux/pstore.h (pstore_ftrace_read_timestamp). These are the
 * records of 64-bit machines; those of 32-bit machines are shorter, and may keep the CPU elsewhere.
 */
import { chunksOf } from '../pstore/content.js'
import type { RenderedFtrace } from '../pstore/ftrace.js'
import type { Symbols } from './kallsyms.js'
import type { Endian } from '../pstore/types.js'
import { TextBuffer } from './text-buffer.js'

/** Bytes of a record: ip, parent_ip, and the time with the CPU in its low 8 bits. */
export const recordSize = 24
const callerOffset = 8
const timeOffset = 16
const cpuBits = 8

/** The whole records at the end of some bytes: the remainder is in front, where the ring was cut. */
const wholeRecords = (bytes: Buffer): Buffer => bytes.subarray(bytes.length % recordSize)

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView =>
  new DataView(buffer, byteOffset, byteLength)

/**
 * Merge the records of several zones, one for each CPU, by time, as Linux does.
 *
 * Linux merges the first two zones, then the result with the third, and so on: with each of n zones
 * all records move once more. Here each moves once, to the same place. To merge two lists, Linux
 * takes the later zone's head unless the earlier's is older; so over all zones it takes the oldest
 * head, and of equally old ones that of the last zone. No more than the heads is compared, thus this
 * holds for lists in any order, as hostile or torn ones are.
 *
 * @param zones the zones' contents, oldest byte first
 * @returns the records, in a new buffer unless one zone has them all
 */
export const mergeFtrace = (zones: readonly Buffer[], endian: Endian): Buffer => {
  const lists = zones.map(wholeRecords).filter(list => list.length > 0)
  if (lists.length < 2) return lists[0] ?? Buffer.alloc(0)
  const little = endian === 'little'
  const views = lists.map(viewOf)
  const merged = Buffer.allocUnsafe(lists.reduce((sum, list) => sum + list.length, 0))

  /** Offset of each list's head, and the head's time in two halves. */
  const heads = new Uint32Array(lists.length)
  const hi = new Uint32Array(lists.length)
  const lo = new Uint32Array(lists.length)
  const look = (list: number): void => {
    const at = heads[list]! + timeOffset
    hi[list] = views[list]!.getUint32(little ? at + 4 : at, little)
    lo[list] = views[list]!.getUint32(little ? at : at + 4, little) >>> cpuBits
  }
  const goesFirst = (a: number, b: number): boolean =>
    hi[a] !== hi[b] ? hi[a]! < hi[b]! : lo[a] !== lo[b] ? lo[a]! < lo[b]! : a > b

  /** A binary heap of the lists that have records left: each goes before its children. */
  const heap = Uint32Array.from(lists.keys())
  let size = lists.length
  const sink = (place: number): void => {
    const list = heap[place]!
    for (;;) {
      let child = 2 * place + 1
      if (child >= size) break
      if (child + 1 < size && goesFirst(heap[child + 1]!, heap[child]!)) child++
      if (goesFirst(list, heap[child]!)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = list
  }
  for (let list = 0; list < lists.length; list++) look(list)
  for (let place = size >>> 1; place-- > 0;) sink(place)

  for (let filled = 0; size > 0; sink(0)) {
    const list = heap[0]!
    // The list to go next is one of the root's children.
    const second = size > 2 && goesFirst(heap[2]!, heap[1]!) ? heap[2]! : heap[1]!
    const start = heads[list]!
    let ended: boolean
    do {
      heads[list]! += recordSize
      ended = heads[list] === lists[list]!.length
      if (!ended) look(list)
    } while (!ended && (size === 1 || goesFirst(list, second)))
    lists[list]!.copy(merged, filled, start, heads[list])
    filled += heads[list]! - start
    if (ended) heap[0] = heap[--size]!
  }
  return merged
}

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
const timeLabel = Buffer.from(' ts:')
const blank = Buffer.from(' ')
const blanks = Buffer.from('  ')
const from = Buffer.from(' <- ')
const prefix = Buffer.from('0x')

/** Bytes; a line without its two names is shorter. */
const lineRoom = 128

/** `%llu` of the upper 56 bits of a time; in limbs of 20 bits, as a double holds only 53. */
const putTime = (lines: TextBuffer, hi: number, lo: number): void => {
  const middle = ((hi & 0xffff) << 4) | (lo >>> 28)
  const upper = (hi >>> 16) * 2 ** 20 + middle
  const carried = (upper % 1e9) * 2 ** 20 + ((lo >>> 8) & 0xfffff)
  const billions = Math.floor(upper / 1e9) * 2 ** 20 + Math.floor(carried / 1e9)
  if (billions > 0) lines.decimal(billions)
  lines.decimal(carried % 1e9, billions > 0 ? 9 : 1)
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

/** The text of records, a chunk at a time, as the text is four times as long as the records. */
class FtraceContent implements RenderedFtrace {
  readonly records: Buffer
  readonly #view: DataView
  readonly #little: boolean
  readonly #chunks: number
  readonly #callees: NameCache | null
  readonly #callers: NameCache | null
  readonly #lines = new TextBuffer()
  /** The known starts of chunks in the text. */
  readonly #starts = [0]
  #rendered = { chunk: -1, bytes: none }

  constructor(
    records: Buffer,
    readonly endian: Endian,
    symbols: Symbols | undefined,
    readonly tail: Buffer,
  ) {
    this.records = wholeRecords(records)
    this.#view = viewOf(this.records)
    this.#little = endian === 'little'
    const count = this.records.length / recordSize
    this.#chunks = Math.ceil(count / chunkRecords)
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
    for (; chunk <= this.#chunks; chunk++) {
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
    return [this.records, this.tail]
  }

  #chunk(chunk: number): Buffer {
    if (chunk === this.#chunks) return this.tail
    if (this.#rendered.chunk !== chunk) {
      this.#render(chunk * chunkRecords * recordSize)
      const bytes = Buffer.from(this.#lines.bytes)
      this.#rendered = { chunk, bytes }
      this.#starts[chunk + 1] = this.#starts[chunk]! + bytes.length
    }
    return this.#rendered.bytes
  }

  #render(start: number): void {
    const lines = this.#lines
    const view = this.#view
    const little = this.#little
    // The offsets of a 64-bit number's halves.
    const high = little ? 4 : 0
    const low = 4 - high
    const end = Math.min(start + chunkRecords * recordSize, this.records.length)
    lines.cut(0)
    for (let at = start; at < end; at += recordSize) {
      const ipHi = view.getUint32(at + high, little)
      const ipLo = view.getUint32(at + low, little)
      const callerHi = view.getUint32(at + callerOffset + high, little)
      const callerLo = view.getUint32(at + callerOffset + low, little)
      const timeHi = view.getUint32(at + timeOffset + high, little)
      const timeLo = view.getUint32(at + timeOffset + low, little)
      const callee = this.#callees?.find(ipHi, ipLo) ?? none
      const caller = this.#callers?.find(callerHi, callerLo) ?? none
      lines.reserve(lineRoom + callee.length + caller.length)
      lines.text(cpuLabel)
      lines.decimal(timeLo & 0xff)
      lines.text(timeLabel)
      putTime(lines, timeHi, timeLo)
      lines.text(blank)
      lines.hex(ipHi, ipLo, 8)
      lines.text(blanks)
      lines.hex(callerHi, callerLo, 8)
      lines.text(blanks)
      putName(lines, callee, ipHi, ipLo)
      lines.text(from)
      putName(lines, caller, callerHi, callerLo)
      lines.end()
    }
  }
}

/**
 * Linux's text of records, a line each: `CPU:%d ts:%llu %08lx  %08lx  %ps <- %pS`. It is rendered as it is
 * read.
 *
 * @param records as {@link mergeFtrace} gives them, or the content of a zone that all CPUs share
 * @param symbols without them all names are addresses, as those of unknown functions are
 * @param tail follows the last line
 */
export const renderFtrace = (
  records: Buffer,
  endian: Endian,
  symbols?: Symbols,
  tail: Buffer = none,
): RenderedFtrace => new FtraceContent(records, endian, symbols, tail)
