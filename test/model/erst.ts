/**
 * What Linux shows of an ERST store, the slow way: doc/formats.md 2 and 5, read a second time for tests,
 * one sentence after the other. It shares nothing with the reading in src/ but zlib.
 */
import { dumpFile, expand, stemOf, type Model, type ModelFile, type ModelPlace } from './file.js'
import { guidBytes } from './guid.js'
import { isPiece, pieceTypes, ringFiles, type ModelPiece, type PieceType } from './pieces.js'

/** What a record's creator and section type say that it is. */
export const kinds: {
  type: 'dmesg' | 'mce' | PieceType
  compressed: boolean
  creator: Buffer
  section: Buffer
}[] = [
  ['dmesg', 'c197e04e-d545-4a70-9c17-a5549419eb12'],
  ['dmesg.enc.z', '4f118707-04dd-4055-b5dd-956d34ddfac6'],
  ['mce', 'fe08ffbe-95e4-4be7-bc73-4096044a38fc'],
  // This project's own: pieces of rings.
  ['tty', 'd1a7f4c6-93b2-4c08-8e5d-70f6e2a9b541'],
  ['console', '58e02b9f-1c64-4f7a-b3d8-e6947a0c5d12'],
  ['pmsg', 'a4c61e7d-08f5-4b93-96e2-1d8b3f50c7e9'],
].map(([name, section], i) => ({
  type: stemOf(name) as 'dmesg' | 'mce' | PieceType,
  compressed: name !== stemOf(name),
  creator: guidBytes(
    i < 3 ? '75a574e3-5052-4b29-8a8e-be2c6490b89d' : '0b9d3c52-4e8f-4d67-a1f0-5c7e92b8d314',
  ),
  section: guidBytes(section),
}))

/** What lies in a slot that the map says is used. */
interface Slot {
  /** Where its map entry is. */
  entry: number
  id: bigint
  /** A record's file, where it has one of its own. */
  file: ModelFile | null
  piece: ModelPiece | null
  place: ModelPlace
}

const u32 = (bytes: Buffer, at: number): number => bytes.readUInt32LE(at)

const slotOf = (bytes: Buffer, entry: number, id: bigint, recordSize: number): Slot => {
  const nothing = (type: string, state: ModelPlace['state']): Slot => ({
    entry,
    id,
    file: null,
    piece: null,
    place: { name: `${type}-erst-${id}`, state, record: null },
  })
  if (id === 0n) return nothing('dmesg', 'empty')
  // Others keep CPER records in the same store: they are theirs.
  const creator = bytes.subarray(64, 80)
  const isCper = bytes.toString('latin1', 0, 4) === 'CPER' && creator.length === 16
  if (isCper && !kinds.some(kind => kind.creator.equals(creator)))
    return nothing('dmesg', 'unsigned')
  const kind = kinds.find(
    kind => kind.creator.equals(creator) && kind.section.equals(bytes.subarray(144, 160)),
  )
  // Header and section descriptor must be there, or the file's end has cut the slot short.
  if (!kind || bytes.length < 200) return nothing('dmesg', 'damaged')
  const { type, compressed } = kind
  const length = u32(bytes, 20)
  if (length <= 200 || length > bytes.length) return nothing('dmesg', 'damaged')
  const data = bytes.subarray(200, length)
  const ring = pieceTypes.find(ring => ring === type)
  if (ring) {
    const piece = {
      type: ring,
      position: data.length < 8 ? 0n : data.readBigUInt64LE(0),
      bytes: data.subarray(8),
    }
    const sound = isPiece(piece)
    const name = `${type}-erst-0`
    const place = sound
      ? ({ name, state: 'sound', record: name } as const)
      : ({ name, state: 'damaged', record: null } as const)
    return { entry, id, file: null, piece: sound ? piece : null, place }
  }
  // The second bit of what is valid is the timestamp's.
  const sec = u32(bytes, 16) & 2 ? bytes.readBigInt64LE(24) : 0n
  const text = compressed ? expand(data, 3 * (recordSize - 200)) : data
  const name = `${type}-erst-${id}`
  const file = dumpFile(name, { sec, nsec: 0 }, data, text)
  const state = text ? 'sound' : 'damaged'
  return { entry, id, file, piece: null, place: { name, state, record: file.name } }
}

/** The slots; null where it is no ERST store, or none whose slots can be told. */
const slotsOf = (store: Buffer): Slot[] | null => {
  if (store.length < 24) return null
  const magic = store.readBigUInt64LE(0)
  if (magic === 0n) return []
  const recordSize = u32(store, 8)
  const powers = Array.from({ length: 15 }, (_, i) => 4096 << i)
  if (magic !== 0x524f545354535245n || !powers.includes(recordSize)) return null
  const offset = u32(store, 12)
  // Where it is nonsense, only the header's own slot is sure to be none.
  const isPlace = offset > 0 && offset % recordSize === 0 && offset < store.length
  const mapEnd = isPlace ? offset : store.length
  const slots: Slot[] = []
  for (let i = isPlace ? offset / recordSize : 1; i * recordSize < store.length; i++) {
    const entry = 24 + 8 * i
    if (entry + 8 > mapEnd) break
    const bytes = store.subarray(i * recordSize, (i + 1) * recordSize)
    slots.push(slotOf(bytes, entry, store.readBigUInt64LE(entry), recordSize))
  }
  return slots
}

/** 2: the files, by slots. */
export const readErst = (store: Buffer): Model | null => {
  const slots = slotsOf(store)
  if (!slots) return null
  const records = slots.filter(({ file }) => file !== null)
  // Linux gets the first of an id; the others are called by their slots, and are damage.
  for (const [i, slot] of records.entries())
    if (records.findIndex(other => other.id === slot.id) < i) {
      const copy = (name: string): string =>
        name.replace(/-\d+/, id => `${id}.${(slot.entry - 24) / 8}`)
      slot.file = { ...slot.file!, name: copy(slot.file!.name) }
      slot.place = { name: copy(slot.place.name), state: 'damaged', record: slot.file.name }
    }
  return {
    files: [
      ...records.map(({ file }) => file!),
      ...ringFiles(
        'erst',
        slots.flatMap(({ piece }) => piece ?? []),
      ),
    ],
    places: [...slots.map(({ place }) => place), ...faultsOf(store, slots)],
  }
}

/** What is wrong with the store as a whole: its header, records that its end has cut off, a count too low. */
const faultsOf = (store: Buffer, slots: Slot[]): ModelPlace[] => {
  if (store.readBigUInt64LE(0) === 0n) return []
  const faults: string[] = []
  const [recordSize, offset] = [u32(store, 8), u32(store, 12)]
  const isPlace = offset > 0 && offset % recordSize === 0 && offset < store.length
  if (!isPlace || u32(store, 16) !== 0x0100) faults.push('header')
  else
    for (let entry = 24 + 8 * Math.ceil(store.length / recordSize); entry + 8 <= offset; entry += 8)
      if (store.readBigUInt64LE(entry) !== 0n && entry < 24 + 8 * Math.ceil(2 ** 32 / recordSize)) {
        faults.push('map')
        break
      }
  if (u32(store, 20) < slots.filter(({ id }) => id !== 0n).length) faults.push('record_count')
  return faults.map(name => ({ name, state: 'damaged', record: null }))
}

/** Clearing a record zeroes its map entry and lowers the count, to how many there are; bytes stay. */
export const eraseFile = (store: Buffer, name: string): Buffer => {
  const after = Buffer.from(store)
  const [, stem, slot] = /^(.*?)(?:\.(\d+))?(?:\.enc\.z)?$/.exec(name)!
  const slots = slotsOf(store)!
  const record = slots.find(
    ({ file, entry }) =>
      file && stemOf(file.name) === stem && (slot === undefined || entry === 24 + 8 * Number(slot)),
  )
  const gone = record
    ? [record]
    : slots.filter(({ piece }) => piece && name === `${piece.type}-erst-0`)
  for (const { entry } of gone) after.fill(0, entry, entry + 8)
  after.writeUInt32LE(slots.filter(slot => slot.id !== 0n && !gone.includes(slot)).length, 20)
  return after
}
