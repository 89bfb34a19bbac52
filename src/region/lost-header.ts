/**
 * Zones whose header says nothing that Linux believes, or says that nothing is there, and what is there all
 * the same. Linux drops it, and so does every listing but that of whoever asks for what is dropped.
 *
 * Source: doc/formats.md 1.10. A look takes a copy of the zone and a pass or two.
 */
import { count, type Remains as FoundRemains } from '../pstore/condition.js'
import type { DumpBody, Inspection, LostContent, Raw } from '../pstore/driver.js'
import { endOfPlain, findText, isTrace, leastRemains, withoutFiller } from '../pstore/remains.js'
import type { ZoneExtent, ZoneKind, ZoneState } from '../pstore/types.js'
import { unwrap } from './unwrap.js'

/** A header's numbers: where the next byte goes, and how many are valid. */
export interface Numbers {
  readonly start: number
  readonly size: number
}

/** What a header says that is not that of a zone with content. */
export interface Doubt {
  readonly state: Exclude<ZoneState, 'valid'>
  /** What is wrong with a signature that still tells whose it was, in words; null: it is sound, or lost. */
  readonly signature: string | null
  /** Null where they are impossible, say that there is nothing, or follow no signature. */
  readonly numbers: Numbers | null
  /** Why the numbers are impossible, in words; null: they are not, or nobody knows. */
  readonly impossible: string | null
  /** The header does not fit its parity, which cannot mend it: something has been there. */
  readonly unmendable: boolean
}

/** How many bits of a signature may be wrong: with more it may as well be noise. */
export const mostWrongBits = 3

/** What to say of a signature of which so many bits are wrong; null where they are too many. */
export const describeBits = (bits: number): string | null =>
  bits <= mostWrongBits ? `the signature has ${count(bits, 'wrong bit')}` : null

/** The same of a zone that is signed as another one would be. */
export const otherKind = "the signature is another kind's (a wrong bit, or a wrong layout)"

/**
 * Check a header's numbers before anything uses them.
 *
 * @param dataLength bytes that the zone can hold
 */
export const judgeNumbers = (
  { start, size }: Numbers,
  dataLength: number,
): Pick<Doubt, 'numbers' | 'impossible'> => {
  if (size > dataLength)
    return { numbers: null, impossible: 'the header claims more than the zone holds' }
  if (start > size)
    return { numbers: null, impossible: `the header has size ${size} and start ${start}` }
  return { numbers: size > 0 ? { start, size } : null, impossible: null }
}

/** A dump as a zone's content has it. */
export type DumpInZone = Omit<Raw, 'parts' | 'ecc' | 'cut' | 'kernels'> & { readonly body: Buffer }
type DumpIn = (content: Buffer) => DumpInZone | null

/** What is needed of a zone for a look behind its header. */
interface Doubtful {
  readonly extent: ZoneExtent
  readonly dataLength: number
  doubt(): Doubt | null
  slice(from: number, length: number): Buffer
}

/** What some bytes hold. */
interface Content {
  readonly holds: FoundRemains['holds']
  /** How many bytes it has; at most so many, where nothing tells where a dump ends. */
  readonly bytes: number
  /** Null where it is none. */
  readonly dump: DumpInZone | null
  /** Null where it is none, or a dump. */
  readonly text: Buffer | null
}

/** What is there, though no file shows it. */
export interface Remains extends Content {
  /** The ring as its numbers have it, or else all data; the caller's own. */
  readonly raw: Buffer
}

const nothing: Content = { holds: 'nothing', bytes: 0, dump: null, text: null }

/**
 * Look behind a header for what it hides.
 *
 * @param dumpIn the dump that a zone's content is
 * @returns null where nothing is there
 * @throws StoreError (EIO) where the source cannot be read
 */
export const lookBehind = (zone: Doubtful, doubt: Doubt, dumpIn: DumpIn): Remains | null => {
  const isSomebodys = doubt.signature !== null || doubt.state === 'invalid' || doubt.unmendable
  // Of half a million tiny zones none is read.
  if (zone.dataLength < leastRemains && !isSomebodys) return null
  const { kind } = zone.extent
  const data = zone.slice(0, zone.dataLength)
  const { numbers } = doubt
  if (numbers) {
    const raw = unwrap(data.subarray(0, numbers.size), numbers.start)
    return { ...contentOf(kind, raw, dumpIn), raw }
  }
  const content = search(kind, data, dumpIn)
  return content || isSomebodys ? { ...(content ?? nothing), raw: data } : null
}

/** Android's log in pmsg is text between numbers, without line feeds. */
const findTextIn = (kind: ZoneKind, bytes: Buffer): ReturnType<typeof findText> =>
  findText(bytes, kind !== 'pmsg')

/** What a zone's content is, whose length is known. */
const contentOf = (kind: ZoneKind, content: Buffer, dumpIn: DumpIn): Content => {
  const bytes = content.length
  const dump = kind === 'dmesg' ? dumpIn(content) : null
  if (dump) return { ...nothing, holds: 'dump', bytes, dump }
  if (kind === 'ftrace') return { ...nothing, holds: 'records', bytes }
  return { ...nothing, holds: findTextIn(kind, content) ? 'text' : 'data', bytes, text: content }
}

/** What a zone's data hold, whatever their length is. */
const search = (kind: ZoneKind, data: Buffer, dumpIn: DumpIn): Content | null => {
  const dump = kind === 'dmesg' ? dumpIn(data) : null
  // What follows a stream's end is ignored; a text ends where something else begins.
  if (dump?.compressed) return { ...nothing, holds: 'dump', bytes: withoutFiller(dump.body), dump }
  if (dump) {
    const body = dump.body.subarray(0, endOfPlain(dump.body))
    if (body.length > 0)
      return { ...nothing, holds: 'dump', bytes: body.length, dump: { ...dump, body } }
  }
  if (kind === 'ftrace' && isTrace(data))
    return { ...nothing, holds: 'records', bytes: withoutFiller(data) }
  const found = findTextIn(kind, data)
  if (!found) return null
  const text = data.subarray(found.from, found.to)
  return { ...nothing, holds: 'text', bytes: text.length, text }
}

const nouns = { dump: 'a dump', text: 'text', records: 'ftrace records', data: 'data' }

/** A zone behind such a header, as a look into its extent finds it; what parity says is not in it. */
export const inspectBehind = (
  doubt: Doubt,
  remains: Remains | null,
): Omit<Inspection, 'parity'> => {
  const { state, numbers } = doubt
  const isErased = state === 'empty'
  const { holds, bytes, dump } = remains ?? nothing
  const findings = [...problemsOf(doubt, remains !== null)]
  if (holds !== 'nothing') {
    const what = `${count(bytes, 'byte')} of ${nouns[holds]}`
    findings.push(isErased ? `erased, but ${what} are still there` : `${what} are still there`)
  }
  return {
    state,
    used: numbers?.size ?? 0,
    start: numbers?.start ?? 0,
    findings,
    lost: remains !== null && !isErased,
    shown: false,
    remains: remains && { holds, bytes },
    dump: dump && bodyOf(dump),
  }
}

/** What is wrong with a header, in words. */
function* problemsOf(
  { state, signature, impossible }: Doubt,
  isThere: boolean,
): Generator<string, void, void> {
  if (signature !== null) yield `${signature}: Linux drops it`
  else if (state === 'unsigned' && isThere) yield 'the header is lost: Linux takes it for new'
  if (impossible !== null) yield `${impossible}: Linux takes it for new`
}

const bodyOf = ({ time, compressed, body, limit }: DumpInZone): DumpBody => ({
  time,
  compressed,
  length: body.length,
  stream: compressed ? body : null,
  limit,
})

/** The text of remains, for whoever wants to read them; null where they are none. */
export const textOf = ({ dump, text }: Remains): LostContent | null =>
  dump ?? (text && { body: text, compressed: false, limit: 0 })

/** The text that some content is; null where it is none. */
export const textIn = (content: Buffer): LostContent | null =>
  findText(content, true) && { body: content, compressed: false, limit: 0 }
