/**
 * ftrace records: which function was called from where, merged over CPUs, and as text.
 *
 * Source: FORMATS.md 1.9; fs/pstore/ftrace.c (pstore_ftrace_combine_log), fs/pstore/inode.c
 * (pstore_ftrace_seq_show), include/linux/pstore.h (pstore_ftrace_read_timestamp). The records of
 * 64-bit machines: 32-bit ones have shorter ones, and may keep the CPU elsewhere.
 */
import { hex, type Symbols } from './kallsyms.js'

export type Endian = 'little' | 'big'

/** Bytes of a record: ip, parent_ip, and the time with the CPU in its low 8 bits. */
export const recordSize = 24
const callerOffset = 8
const timeOffset = 16
const cpuBits = 8

/** Records at the end of some bytes: what does not divide is lost in front, where a ring was cut. */
const wholeRecords = (bytes: Buffer): Buffer => bytes.subarray(bytes.length % recordSize)

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView =>
  new DataView(buffer, byteOffset, byteLength)

/**
 * Merge the records of several zones (one a CPU) by time, as Linux does.
 *
 * Linux merges the first two zones, then the result with the third, and so on: with each of n zones
 * all records move once more. Here each moves once, to the same place. To merge two lists, Linux
 * takes the later zone's head unless the earlier's is older; so over all zones it takes the oldest
 * head, and of equally old ones that of the last zone. No more than the heads is compared, thus this
 * holds for lists in any order, as hostile or torn ones are.
 *
 * @param zones their contents, oldest byte first
 * @returns the records, in memory of its own unless they are all in one zone
 */
export const mergeFtrace = (zones: Buffer[], endian: Endian): Buffer => {
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
    const at = heads[list] + timeOffset
    hi[list] = views[list].getUint32(little ? at + 4 : at, little)
    lo[list] = views[list].getUint32(little ? at : at + 4, little) >>> cpuBits
  }
  const goesFirst = (a: number, b: number): boolean =>
    hi[a] !== hi[b] ? hi[a] < hi[b] : lo[a] !== lo[b] ? lo[a] < lo[b] : a > b

  /** A binary heap of the lists that have records left: each goes before its children. */
  const heap = Uint32Array.from(lists.keys())
  let size = lists.length
  const sink = (place: number): void => {
    const list = heap[place]
    for (;;) {
      let child = 2 * place + 1
      if (child >= size) break
      if (child + 1 < size && goesFirst(heap[child + 1], heap[child])) child++
      if (goesFirst(list, heap[child])) break
      heap[place] = heap[child]
      place = child
    }
    heap[place] = list
  }
  for (let list = 0; list < lists.length; list++) look(list)
  for (let place = size >>> 1; place-- > 0;) sink(place)

  for (let filled = 0; size > 0; sink(0)) {
    const list = heap[0]
    // Who goes next, once this list's head does not: one of the root's children.
    const second = size > 2 && goesFirst(heap[2], heap[1]) ? heap[2] : heap[1]
    const start = heads[list]
    let ended: boolean
    do {
      heads[list] += recordSize
      ended = heads[list] === lists[list].length
      if (!ended) look(list)
    } while (!ended && (size === 1 || goesFirst(list, second)))
    lists[list].copy(merged, filled, start, heads[list])
    filled += heads[list] - start
    if (ended) heap[0] = heap[--size]
  }
  return merged
}

/** Addresses whose texts are kept while rendering, a power of two: some thousand are busy in a kernel. */
const maxCached = 8192
/** Characters of text that are made into bytes at once. */
const chunkLength = 1 << 16

/** Addresses' texts, each in the one place that the address's bits give it. */
class TextCache {
  /** `%08lx`, by place. */
  readonly addresses: string[]
  /** `%ps` or `%pS`, by place. */
  readonly names: string[]
  readonly #name: (hi: number, lo: number) => string
  readonly #mask: number
  readonly #hi: Uint32Array
  readonly #lo: Uint32Array

  /** @param uses how many addresses will be asked for */
  constructor(name: (hi: number, lo: number) => string, uses: number) {
    let size = 1
    while (size < uses && size < maxCached) size *= 2
    this.addresses = Array.from({ length: size }, () => '')
    this.names = Array.from({ length: size }, () => '')
    this.#name = name
    this.#mask = size - 1
    this.#hi = new Uint32Array(size)
    this.#lo = new Uint32Array(size)
  }

  /** The place where an address's texts are, until the next call. */
  find(hi: number, lo: number): number {
    const mixed = Math.imul(lo ^ Math.imul(hi, 0x85ebca6b), 0x9e3779b1)
    const place = (mixed ^ (mixed >>> 16)) & this.#mask
    if (this.#hi[place] !== hi || this.#lo[place] !== lo || this.addresses[place] === '') {
      this.#hi[place] = hi
      this.#lo[place] = lo
      this.addresses[place] = hex(hi, lo).padStart(8, '0')
      this.names[place] = this.#name(hi, lo)
    }
    return place
  }
}

const unnamed = (hi: number, lo: number): string => `0x${hex(hi, lo)}`

/**
 * The text that Linux shows for records, a line each:
 * `CPU:%d ts:%llu %08lx  %08lx  %ps <- %pS`.
 *
 * @param records as {@link mergeFtrace} gives them, or the content of a zone that all CPUs share
 * @param symbols without them the addresses stand in the names' place, as for unknown ones
 */
export const renderFtrace = (records: Buffer, endian: Endian, symbols?: Symbols): Buffer => {
  const little = endian === 'little'
  const whole = wholeRecords(records)
  const view = viewOf(whole)
  const count = whole.length / recordSize
  const callees = new TextCache(symbols ? (hi, lo) => symbols.name(hi, lo) : unnamed, count)
  const callers = new TextCache(
    symbols ? (hi, lo) => symbols.nameAndOffset(hi, lo) : unnamed,
    count,
  )
  // Where a 64-bit number has its halves.
  const high = little ? 4 : 0
  const low = 4 - high

  const chunks: Buffer[] = []
  let text = ''
  for (let at = 0; at < whole.length; at += recordSize) {
    const callee = callees.find(view.getUint32(at + high, little), view.getUint32(at + low, little))
    const caller = callers.find(
      view.getUint32(at + callerOffset + high, little),
      view.getUint32(at + callerOffset + low, little),
    )
    const timeHi = view.getUint32(at + timeOffset + high, little)
    const timeLo = view.getUint32(at + timeOffset + low, little)
    text += `CPU:${timeLo & 0xff} ts:${formatTime(timeHi, timeLo)} ${callees.addresses[callee]}  ${callers.addresses[caller]}  ${callees.names[callee]} <- ${callers.names[caller]}\n`
    if (text.length >= chunkLength) {
      chunks.push(Buffer.from(text, 'latin1'))
      text = ''
    }
  }
  chunks.push(Buffer.from(text, 'latin1'))
  return Buffer.concat(chunks)
}

/** A record's time, the upper 56 bits, in decimal; few are too large for a double. */
const formatTime = (hi: number, lo: number): string =>
  hi < 2 ** (53 - 32 + cpuBits)
    ? String(hi * 2 ** (32 - cpuBits) + (lo >>> cpuBits))
    : String((BigInt(hi) << BigInt(32 - cpuBits)) | BigInt(lo >>> cpuBits))
