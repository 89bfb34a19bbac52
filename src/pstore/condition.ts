/** The condition of a store's extents, sound, empty or damaged: what `info`, `check` and `ls --all` show. */
import { codecNames, salvage, type CodecName } from './codecs/index.js'
import { assertStoreError, type StoreError } from './errors.js'
import type { Timespec } from './time.js'
import type { RecordType } from './types.js'

/**
 * - `sound`: it holds a record, maybe one that parity had to correct
 * - `empty`: there is nothing in it
 * - `erased`: the same, but the bytes of what was in it are still there
 * - `unsigned`: nobody has made a zone of it, as after a cold boot
 * - `damaged`: it holds something that is lost, in whole or in part
 */
export type ConditionState = 'sound' | 'empty' | 'erased' | 'unsigned' | 'damaged'

/** What a place's parity says. */
export interface Parity {
  /** Bytes that were corrected, the header's too. */
  readonly corrected: number
  /** Blocks that cannot be, the header's too. */
  readonly bad: number
  /** By block of the data: 0 clean, 1 corrected, 2 bad. */
  readonly blocks: Uint8Array
}

/** A line on what is left out of a ring that was read while its writer went on. */
export const describeCut = (name: string, cut: number): string =>
  `${name}: ${count(cut, 'byte')} cut: its writer passed over them while they were read`

export const cleanBlock = 0
export const correctedBlock = 1
export const badBlock = 2

/** Where a stream breaks, in bytes, of how many, and how much text comes before that. */
export interface BrokenStream {
  readonly at: number
  readonly of: number
  readonly salvaged: number
  /** True where all that is wrong is that its checksum is not its text's. */
  readonly mismatch: boolean
}

/** What is known of a dump. */
export interface Dump {
  readonly time: Timespec | null
  readonly compressed: boolean
  /** What it is compressed with; null where it is plain, cannot be read, or none explains its stream. */
  readonly codec: CodecName | null
  /** Bytes of its text; null where it cannot be inflated. */
  readonly text: number | null
  /** How its stream is broken; null: it is sound. */
  readonly broken: BrokenStream | null
}

/** What is there behind a header that hides it. */
export interface Remains {
  readonly holds: 'dump' | 'text' | 'records' | 'data' | 'nothing'
  /** At most so many, where nothing tells where it ends. */
  readonly bytes: number
}

/** The condition of one extent: a zone, a variable, a slot. */
export interface Condition {
  readonly type: RecordType
  /** Its record's name, without the suffix of those that cannot be inflated; CPUs share ftrace's. */
  readonly name: string
  /** dmesg: the zone's number; ftrace: the CPU; else 0. */
  readonly index: number
  /** In bytes from the store's start; null for what has no place of its own, as variables. */
  readonly offset: number | null
  /** Bytes that it takes, headers and parity included. */
  readonly length: number
  /** Bytes of data that it can hold. */
  readonly room: number
  /** Bytes that it does hold. */
  readonly used: number
  /** Where the next byte of a ring goes; 0 elsewhere. */
  readonly start: number
  readonly state: ConditionState
  /** What is wrong with it, or remarkable, in words. */
  readonly findings: readonly string[]
  /** The file that shows it; null where none does. */
  readonly record: string | null
  /** Null where the store keeps none. */
  readonly parity: Parity | null
  /** Null for anything but a dump, or what is compressed as one. */
  readonly dump: Dump | null
  /** What a header hides that is damaged, or says that it was erased; null: nothing. */
  readonly remains: Remains | null
}

/** What is known of a place without looking into it. */
export type Site = Pick<Condition, 'type' | 'name' | 'index' | 'offset' | 'length' | 'room'>

/** An extent's site and condition; null where a look finds it gone. One that cannot be read is damaged. */
export const conditionAt = (
  site: Site,
  look: () => Omit<Condition, keyof Site> | null,
): Condition | null => {
  try {
    const found = look()
    // What V8 makes of two spreads, or of one that more follows, outlives its use: twice the time for many.
    return found && Object.assign({}, site, found)
  } catch (error) {
    assertStoreError(error)
    const nothing = { used: 0, start: 0, record: null, parity: null, dump: null, remains: null }
    return { ...site, ...nothing, state: 'damaged', findings: [error.message] }
  }
}

/**
 * What is found at each place, but for nothing. One that cannot be read hides no other.
 *
 * @param failed is told of each that cannot be read. Absent: why the first cannot is thrown once all have had their turn
 */
export function* foundAt<P, F>(
  places: Iterable<P>,
  look: (place: P) => F | null,
  failed?: (place: P, error: StoreError) => void,
): Generator<F, void, void> {
  let failure: StoreError | null = null
  for (const place of places) {
    let found: F | null = null
    try {
      found = look(place)
    } catch (error) {
      assertStoreError(error)
      if (failed) failed(place, error)
      else failure ??= error
    }
    if (found !== null) yield found
  }
  if (failure) throw failure
}

/** Does a look find anything? What cannot be read is not found. */
export const isThere = (look: () => unknown): boolean => {
  try {
    return look() !== null
  } catch (error) {
    assertStoreError(error)
    return false
  }
}

/** Look into a dump's stream, as {@link salvage} does. */
export const lookIntoStream = (
  stream: Buffer,
  limit: number,
): Pick<Dump, 'codec' | 'text' | 'broken'> => {
  const { codec, text, breaks, mismatch } = salvage(stream, limit)
  return breaks === null
    ? { codec, text: text.length, broken: null }
    : {
        codec,
        text: null,
        broken: { at: breaks, of: stream.length, salvaged: text.length, mismatch },
      }
}

/** A number of things in words. */
export const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

/** What is wrong with a record, or was mended, in words; none: nothing was found. */
export const faultsOf = ({
  compressed,
  ecc,
  cut,
}: {
  readonly compressed: boolean
  readonly ecc: { readonly corrected: number; readonly bad: number } | null
  readonly cut: number
}): string[] => [
  ...(compressed ? ['cannot be inflated'] : []),
  ...(ecc?.corrected ? [`${count(ecc.corrected, 'byte')} corrected`] : []),
  ...(ecc?.bad ? [`${count(ecc.bad, 'block')} damaged`] : []),
  ...(cut ? [`${count(cut, 'byte')} cut`] : []),
]

/** What was tried, in words. */
const tried = codecNames.join(', ').replace(/, ([^,]*)$/, ' or $1')

/** A broken stream in words. */
export const describeBroken = (
  codec: CodecName | null,
  { at, of, salvaged, mismatch }: BrokenStream,
): string => {
  const what = codec
    ? `the ${codec} stream`
    : `it is no ${tried} stream: taken for deflate, which Linux writes now, it`
  if (mismatch)
    return `${what}'s checksum is not that of its ${salvaged} bytes of text (cat --salvage)`
  return (
    (at === of ? `${what} is cut short` : `${what} breaks at byte ${at} of ${of}`) +
    (salvaged ? `: ${salvaged} bytes of text before that (cat --salvage)` : '')
  )
}
