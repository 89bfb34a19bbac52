/** What a slot of an ERST store is to the core: a record, one that cannot be read, or what a look finds in it. */
import type { Extent, Glance, Inspection, Loaded, Slot } from '../../pstore/driver.js'
import { isSplitRingType, lastPosition, type Piece } from '../../pstore/split-ring.js'
import type { RecordType } from '../../pstore/types.js'
import { cperHeaderSize, type CperHeader } from './cper.js'

/** Bytes of a piece's position, before its text. */
export const positionSize = 8

/** What a slot of the store holds at one moment. */
export interface Content {
  readonly header: CperHeader
  /** What follows the header. */
  readonly data: Buffer
  /** Bytes that a compressed text may have. */
  readonly limit: number
  /** Changes when the slot's record does. */
  readonly version: string
}

/** A record and the slot of the store that it lies in, at the moment when it was asked for. */
export class CperSlot implements Slot {
  readonly type: RecordType
  readonly label: string
  readonly ftrace = null
  /** To tell its type its bytes had to be loaded. */
  readonly deep = true

  constructor(
    readonly id: bigint,
    readonly copy: number | null,
    readonly content: Content,
    readonly erase: () => void,
  ) {
    this.type = this.label = content.header.type
  }

  glance(): Glance {
    return { version: this.content.version, lengths: null }
  }

  lengths(): null {
    return null
  }

  load(): Loaded {
    const { version, limit, data, header } = this.content
    const { time, compressed } = header
    return { version, raw: { parts: [data], time, compressed, limit, ecc: null, cut: 0 } }
  }

  raw(): Buffer {
    return this.content.data
  }
}

/** The piece in a ring's record, whose data are given, or their first bytes; null where it is none. */
export const pieceIn = (header: CperHeader, data: Buffer): Piece | null => {
  const length = header.length - cperHeaderSize - positionSize
  if (length <= 0) return null
  const position = data.readBigUInt64LE()
  return position > lastPosition ? null : { position, length }
}

export const nothing = { used: 0, start: 0, shown: false, parity: null, dump: null } as const

/** @param isCopy the record in an earlier slot has the same id */
export const inspectRecord = ({ header, data, limit }: Content, isCopy: boolean): Inspection => {
  const { type, time, compressed } = header
  const findings: string[] = []
  const used = data.length
  const found = { ...nothing, state: 'valid', lost: false, findings, used } as const
  if (isSplitRingType(type)) {
    const isPiece = pieceIn(header, data) !== null
    if (!isPiece) findings.push('no piece of a ring, though its header says so')
    return { ...found, lost: !isPiece, shown: isPiece }
  }
  if (isCopy) findings.push('the record in an earlier slot has the same id: Linux shows that one')
  const stream = compressed ? data : null
  const dump = type === 'dmesg' ? { time, compressed, length: used, stream, limit } : null
  return { ...found, lost: isCopy, shown: true, dump }
}

/** What is wrong with a part of the store that holds no record. */
export const faultAt = (name: string, finding: string): Extent => ({
  type: 'dmesg',
  label: 'dmesg',
  id: 0n,
  name,
  index: 0,
  offset: null,
  length: 0,
  room: 0,
  whole: false,
  shared: false,
  inspect: () => ({ ...nothing, state: 'invalid', lost: true, findings: [finding] }),
})
