/**
 * ftrace's records of all CPUs, merged by time.
 *
 * Source: doc/formats.md 1.9; fs/pstore/ftrace.c (pstore_ftrace_combine_log).
 */
import type { FtraceForm, FtraceRecords, FtraceZone } from '../pstore/ftrace.js'
import type { Endian } from '../pstore/types.js'
import { viewOf } from './ftrace-form.js'

/** LINUX_VERSION_CODE of Linux 7.1, which encodes addresses. */
const firstEncoding = (7 << 16) | (1 << 8)

/** Are a zone's addresses encoded (doc/formats.md 7.5)? Null: the zone does not say. */
const isEncoded = (kernel: number, { word }: FtraceForm): boolean | null =>
  word === 4 ? false : kernel === 0 ? null : kernel >= firstEncoding

const none = Buffer.alloc(0)

/** The whole records at the end of some bytes: the remainder is in front, where the ring was cut. */
const wholeRecords = (bytes: Buffer, { size }: FtraceForm): Buffer =>
  bytes.subarray(bytes.length % size)

/**
 * Merge the records of several zones, one for each CPU, by time, as Linux does.
 *
 * Linux merges the first two zones, then the result with the third, and so on: with each of n zones
 * all records move once more. Here each moves once, to the same place. To merge two lists, Linux
 * takes the later zone's head unless the earlier's is older; so over all zones it takes the oldest
 * head, and of equally old ones that of the last zone. No more than the heads is compared, thus this
 * holds for lists in any order, as hostile or torn ones are. Records without a time come zone by zone.
 *
 * @param zones the zones' contents, oldest byte first
 * @returns the records, in a new buffer unless one zone has them all
 */
export const mergeFtrace = (
  zones: readonly FtraceZone[],
  endian: Endian,
  form: FtraceForm,
): FtraceRecords => {
  const kept = zones
    .map(({ bytes, kernel }) => ({ list: wholeRecords(bytes, form), kernel }))
    .filter(({ list }) => list.length > 0)
  const lists = kept.map(({ list }) => list)
  const encodings = kept.map(({ kernel }) => isEncoded(kernel, form))
  const [encoded = false] = encodings
  if (lists.length < 2) return { bytes: lists[0] ?? none, endian, form, encoded }

  const total = lists.reduce((sum, list) => sum + list.length, 0)
  const bytes = Buffer.allocUnsafe(total)
  const isMixed = encodings.some(each => each !== encoded)
  const flags = isMixed ? new Uint8Array(total / form.size) : null
  let filled = 0
  const take = (list: number, start: number, end: number): void => {
    lists[list]!.copy(bytes, filled, start, end)
    const after = filled + end - start
    flags?.fill(Number(encodings[list]), filled / form.size, after / form.size)
    filled = after
  }
  if (form.time) takeByTime(lists, endian, form, take)
  else lists.forEach((list, i) => take(i, 0, list.length))
  return { bytes, endian, form, encoded: flags ?? encoded }
}

/** Take the lists' records by their times: stretches of bytes, each of one list. */
const takeByTime = (
  lists: readonly Buffer[],
  endian: Endian,
  { size: recordSize, word, cpu }: FtraceForm,
  take: (list: number, start: number, end: number) => void,
): void => {
  const little = endian === 'little'
  const views = lists.map(viewOf)
  // The low bits of a time that are none of it: whole numbers compare alike without them.
  const cpuBits = cpu === 'time' ? 8 : 0
  const hiAt = 2 * word + (little ? 4 : 0)
  const loAt = 2 * word + (little ? 0 : 4)

  /** Offset of each list's head, and the head's time in two halves. */
  const heads = new Uint32Array(lists.length)
  const hi = new Uint32Array(lists.length)
  const lo = new Uint32Array(lists.length)
  const look = (list: number): void => {
    const at = heads[list]!
    hi[list] = views[list]!.getUint32(at + hiAt, little)
    lo[list] = views[list]!.getUint32(at + loAt, little) >>> cpuBits
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

  for (; size > 0; sink(0)) {
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
    take(list, start, heads[list]!)
    if (ended) heap[0] = heap[--size]!
  }
}
