/** What the pool and its threads say to each other: plain objects, as the structured clone takes them. */
import type { RecordFacts } from '../../pstore/backend.js'
import { contentOf, isSized, withTail, type Content } from '../../pstore/content.js'
import type { SentError } from '../../pstore/errors.js'
import {
  isFtrace,
  type FtraceRecords,
  type FtraceText,
  type RenderedFtrace,
} from '../../pstore/ftrace.js'
import type { CrashFacts } from '../../pstore/records.js'
import type { Identity } from '../../pstore/types.js'
import type { MountHow } from '../attach-as.js'
import type { SourceCandidate } from '../plan.js'

/** All that a thread has to know to attach a backend. */
export interface Wanted {
  readonly candidate: SourceCandidate
  readonly how: MountHow
  /** The file that the first thread found at the path, as `fileOf` tells them apart; null: yet to be found. */
  readonly file: string | null
}

/** What can be asked of a backend. */
export type Task =
  | { readonly op: 'attach' | 'names' | 'damage' | 'doubts' }
  | { readonly op: 'find' | 'crash'; readonly name: string }
  | { readonly op: 'open'; readonly name: string; readonly alone: boolean }
  | { readonly op: 'erase'; readonly record: RecordFacts }

export type Message =
  | { readonly backend: number; readonly wanted: Wanted; readonly task: Task }
  /** Open the locks of all that is attached: later it may not be permitted. */
  | { readonly locks: true }
  /** Not answered. */
  | { readonly detach: number }

/** A backend as it was attached. */
export interface Attachment {
  readonly readOnly: boolean
  readonly identity: Identity
  readonly file: string
  /** For the log. */
  readonly lines: readonly string[]
}

/** The names of a listing, and what it leaves out. */
export interface Listing {
  readonly names: string[]
  readonly unreadable: readonly { readonly name: string; readonly line: string }[]
}

/** Some of the zones looked at. */
export interface DamageSlice {
  /** For the log. */
  readonly lines: readonly string[]
  readonly done: boolean
}

interface SentFtrace {
  readonly records: Omit<FtraceRecords, 'bytes'> & { readonly bytes: Uint8Array }
  readonly offsets: RenderedFtrace['offsets']
}

/** A record's bytes, each piece in memory of its own; ftrace's text is made where it is read. */
export type SentContent = readonly Uint8Array[] | SentFtrace

/** The answers, by what was asked. */
export interface Answers {
  attach: Attachment
  names: Listing
  find: RecordFacts | null
  crash: CrashFacts | null
  open: { readonly record: RecordFacts; readonly content: SentContent } | null
  erase: boolean
  damage: DamageSlice
  doubts: string[]
}

export type Answer = Answers[keyof Answers]

/** Each with how long it took, in ms. */
export type Reply =
  | { readonly took: number; readonly answer: Answer }
  /** @property attached whether the thread has the backend in spite of it */
  | { readonly took: number; readonly error: SentError; readonly attached: boolean }
  /** Another file than the one that was attached first is at the path by now. */
  | { readonly took: number; readonly moved: true }

/** A record's facts alone: what the store made of them has methods. */
export const factsOf = (record: RecordFacts): RecordFacts => {
  const { type, id, name, size, time, compressed, ecc, cut, version } = record
  return { type, id, name, size, time, compressed, ecc, cut, version }
}

/** Shorter ones may share their memory with others: Node gives them out of a common one. */
const alone = 65536

/** Bytes of the caller's own, whose memory is handed over: what is in there is gone here. */
const handOver = (bytes: Buffer, transfer: Set<ArrayBuffer>): Uint8Array => {
  const { buffer, byteOffset, length } = bytes
  if (length < alone || !(buffer instanceof ArrayBuffer)) return Uint8Array.from(bytes)
  transfer.add(buffer)
  return new Uint8Array(buffer, byteOffset, length)
}

/** @returns the content to be sent, and what of it is transferred: the content is of no use here any more */
export const sentContent = (content: Content): [SentContent, ArrayBuffer[]] => {
  const transfer = new Set<ArrayBuffer>()
  let sent: SentContent
  if (isFtrace(content)) {
    const { records, offsets } = content
    sent = { records: { ...records, bytes: handOver(records.bytes, transfer) }, offsets }
  } else {
    const pieces = (isSized(content) && content.pieces) || [content.all()]
    sent = pieces.map(piece => handOver(piece, transfer))
  }
  return [sent, [...transfer]]
}

const asBuffer = ({ buffer, byteOffset, length }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, length)

const empty = contentOf(Buffer.alloc(0))

/** @param text makes ftrace's text */
export const receivedContent = (sent: SentContent, text: () => FtraceText): Content => {
  if ('records' in sent)
    return text().render({ ...sent.records, bytes: asBuffer(sent.records.bytes) }, sent.offsets)
  return sent.map(asBuffer).reduce((content, piece) => withTail(content, piece), empty)
}
