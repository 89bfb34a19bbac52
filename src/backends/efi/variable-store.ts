/**
 * A UEFI variable store in a file (a guest's `OVMF_VARS.fd`, a dump of a flash chip): a host's view
 * of a guest's variables. For reading only.
 *
 * What a guest stored is hostile: sizes are checked before they are used, each step goes forward, and
 * the walk never leaves the store. It shows what the firmware would find, in the firmware's order
 * (EDK II's FindVariableEx and VariableServiceGetNextVariableInternal). The firmware's list ends where a
 * header is damaged; this one goes on behind it, and says so (doc/formats.md 4.2).
 */
import { crc32 } from 'node:zlib'
import { statOf, versionOf } from '../../native/open.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import type { Region } from '../../region/region.js'
import { encodeGuid } from '../guid.js'
import {
  alignVariable,
  decodeName,
  decodeStoreHeader,
  decodeVariableHeader,
  decodeVolumeHeader,
  presence,
  storeHeaderLength,
  variableHeaderLength,
  volumeHeaderLength,
  type VariableHeader,
} from './variable-store-format.js'
import { Remembered } from './remembered.js'
import type { DumpName, PieceName } from './names.js'
import {
  byVendor,
  largestData,
  parseName,
  vendors,
  type Unseen,
  type Variable,
  type VariableList,
  type Variables,
  type Vendor,
} from './variables.js'

const vendorBytes = vendors.map(guid => ({ guid, bytes: encodeGuid(guid) }))
/** Names of records are far shorter; longer ones are not looked at. In bytes. */
const longestName = 512
/** Firmware has stores of up to 1 MiB; a walk goes no further than this. In bytes. */
const largestStore = 2 * 1024 * 1024
/** How much is read at a time, in bytes. */
const windowSize = 64 * 1024
/** What a disk gives or does not, in bytes. */
const sectorSize = 512

/** Do a source's first bytes begin as a firmware volume with variables? */
export const isVariableStore = (head: Buffer): boolean => {
  const volume = head.length < volumeHeaderLength ? null : decodeVolumeHeader(head)
  if (!volume) return false
  const store = head.subarray(volume.headerLength, volume.headerLength + storeHeaderLength)
  return store.length === storeHeaderLength && decodeStoreHeader(store) !== null
}

/** In a dump of a flash chip a volume begins at a block; chips have up to 64 MiB. */
const flashBlock = 4096
const largestFlash = 64 * 1024 * 1024

/** Where the first variable store begins in a dump of a flash chip; null where it has none. */
export const findVariableStore = (region: Region): number | null => {
  const end = Math.min(region.length, largestFlash)
  for (let at = 0; at < end;) {
    const data = region.nextData(at)
    if (!data || data.from >= end) break
    const from = data.from - (data.from % flashBlock)
    const bytes = region.load(from, Math.min(windowSize + flashBlock, end - from))
    for (at = from; at < Math.min(from + windowSize, end, data.to); at += flashBlock)
      if (isVariableStore(bytes.subarray(at - from, at - from + flashBlock))) return at
  }
  return null
}

/** Where a store's variables are, in bytes from the region's start. */
interface StoreExtent {
  start: number
  end: number
  authenticated: boolean
  /** What the volume's header says, in bytes; more than the source has where that was cut short. */
  volume: bigint
}

/** What a walk finds beside variables. */
interface Walked {
  readonly unseen: Unseen[]
  /** Where the last variable ends. */
  end: number
  /** Where the list broke off first, in bytes from the region's start; null: nowhere. */
  broken: number | null
}

/** A copy of a variable, and where it is. There may be tens of thousands: what can be made of the rest is. */
class Stored implements Variable<DumpName | PieceName> {
  /**
   * @param complete else it counts only where no complete one is there
   * @param offset where its header starts, in bytes from the region's start
   * @param prefix bytes before its data
   * @param size bytes of its data
   * @param sum of all of its bytes; null where they cannot all be read
   */
  constructor(
    readonly vendor: Vendor,
    readonly name: string,
    readonly complete: boolean,
    readonly offset: number,
    readonly prefix: number,
    readonly size: number,
    readonly sum: number | null,
  ) {}

  get says(): DumpName | PieceName {
    return parseName(this.vendor, this.name)!
  }

  get version(): string {
    return `${this.offset}:${this.sum}`
  }

  get space(): number {
    return this.prefix + this.size
  }
}

export class VariableStore implements Variables {
  /** Erasing is left to the guest: who else writes would race with its firmware. */
  readonly readOnly = true
  readonly #kept = new Remembered<VariableList>()
  /** Variables of any vendor that the last walk came by. */
  #walked = 0
  readonly path: string

  /**
   * @param region open for reading only; this closes it
   * @throws StoreError where it holds no variable store
   */
  constructor(readonly region: Region) {
    this.path = region.path
    if (this.#place()) return
    throw new StoreError(
      `${this.path}: is no UEFI variable store: no firmware volume with variables at its start (mem_address says where it is in a larger image)`,
    )
  }

  /** Find the variables; null where the headers before them are none. */
  #place(): StoreExtent | null {
    const { region } = this
    if (region.length < volumeHeaderLength) return null
    const volume = decodeVolumeHeader(region.load(0, volumeHeaderLength))
    if (!volume) return null
    const { headerLength } = volume
    const start = alignVariable(headerLength + storeHeaderLength)
    if (headerLength < volumeHeaderLength || headerLength + storeHeaderLength > region.length)
      return null
    const store = decodeStoreHeader(region.load(headerLength, storeHeaderLength))
    if (!store) return null
    const length = volume.length < region.length ? Number(volume.length) : region.length
    const size = Math.min(store.size, largestStore)
    return {
      start,
      end: Math.min(length, headerLength + size),
      authenticated: store.authenticated,
      volume: volume.length,
    }
  }

  list(): VariableList {
    const version = versionOf(statOf(this.path, this.region.fd))
    return this.#kept.get(version, () => this.#list())
  }

  #list(): VariableList {
    const place = this.#place()
    // The volume is being rewritten, or is lost.
    if (!place) return { dumps: [], pieces: [] }
    const { start, end, volume } = place
    const walked: Walked = { unseen: [], end: start, broken: null }
    const variables = byVendor(this.#present(place, walked))
    const { length } = this.region
    const fault =
      volume > length
        ? `was cut short: its volume's header says ${volume} bytes, the source has ${length}`
        : brokenList(walked.broken)
    const room = { size: end - start, free: Math.max(0, end - walked.end) }
    return { ...variables, unseen: walked.unseen, fault, room }
  }

  total(): { variables: number; others: number } {
    this.list()
    return { variables: this.#walked, others: 0 }
  }

  /** The copy of each variable that the firmware would use; each vendor's in the order in which they lie there. */
  #present(place: StoreExtent, walked: Walked): Stored[] {
    const found = vendors.map(() => new Map<string, Stored>())
    for (const copy of this.#walk(place, walked)) {
      // The first complete copy, else the last of those whose replacement was never completed.
      const ofVendor = found[vendors.indexOf(copy.vendor)]!
      if (ofVendor.get(copy.name)?.complete) continue
      ofVendor.delete(copy.name)
      ofVendor.set(copy.name, copy)
    }
    return found.flatMap(ofVendor => [...ofVendor.values()])
  }

  /** All copies of these vendors' variables that count, complete or not. */
  *#walk(place: StoreExtent, walked: Walked): Generator<Stored, void, void> {
    this.#walked = 0
    const { start, end, authenticated } = place
    const headerLength = variableHeaderLength(authenticated)
    const window = new Window(this.region, end)
    /** Where the variable before begins. */
    let last: number | null = null
    for (let at = start; at + headerLength <= end;) {
      const header = window.orError(at, headerLength)
      if (header instanceof StoreError) {
        walked.unseen.push(unseenAt(at, header))
        at = nextVariable(window, at + 4, place)
        continue
      }
      const variable = decodeVariableHeader(header, authenticated)
      const length = variable ? headerLength + variable.nameSize + variable.dataSize : 0
      if (!variable || at + length > end) {
        if (walked.broken === null && window.isBlank(at)) return
        walked.broken ??= at
        // Where there is no header, the sizes of the one before may be what is wrong.
        const from = variable || last === null ? at + 4 : last + headerLength
        at = nextVariable(window, from, place)
        continue
      }
      last = at
      if (presence(variable.state) !== 'no') this.#walked++
      const found = this.#copyAt(window, at, variable, headerLength)
      if (found instanceof Stored) yield found
      else if (found) walked.unseen.push(unseenAt(at, found))
      at = walked.end = alignVariable(at + length)
    }
  }

  /** A copy that counts, of one of these vendors' variables; an error where its name cannot be read. */
  #copyAt(
    window: Window,
    at: number,
    { vendor: bytes, state, nameSize, dataSize }: VariableHeader,
    headerLength: number,
  ): Stored | StoreError | null {
    const counts = presence(state)
    const vendor = vendorBytes.find(one => bytes.equals(one.bytes))?.guid
    const isOdd = nameSize > longestName || dataSize === 0 || dataSize > largestData
    if (!vendor || counts === 'no' || isOdd) return null
    const prefix = headerLength + nameSize
    const whole = window.orError(at, prefix + dataSize)
    const isWhole = !(whole instanceof StoreError)
    const front = isWhole ? whole.subarray(0, prefix) : window.orError(at, prefix)
    if (front instanceof StoreError) return front
    const name = decodeName(front.subarray(headerLength))
    if (!parseName(vendor, name)) return null
    const sum = isWhole ? crc32(whole) : null
    return new Stored(vendor, name, counts === 'yes', at, prefix, dataSize, sum)
  }

  read(variable: Variable): Buffer | null {
    const { offset, prefix, size, sum } = variable as Stored
    const bytes = this.region.load(offset, prefix + size)
    // The guest may have deleted it, or its firmware moved all of them, since the walk.
    if (sum === null || crc32(bytes) !== sum) {
      this.#kept.forget()
      return null
    }
    return bytes.subarray(prefix)
  }

  create(): boolean {
    throw this.#refusal()
  }

  remove(): void {
    throw this.#refusal()
  }

  exclusively(): never {
    throw this.#refusal()
  }

  #refusal(): StoreError {
    return new StoreError(`${this.path}: a variable store is for reading only`, 'EROFS')
  }

  close(): void {
    this.region.close()
  }
}

const unseenAt = (offset: number, error: StoreError): Unseen => ({
  name: `the variable at 0x${offset.toString(16)}`,
  error,
})

const brokenList = (at: number | null): string | null =>
  at === null
    ? null
    : `its list of variables is broken at 0x${at.toString(16)}: ` +
      'those behind are found by their headers, and some may be missing'

/** States of a variable whose header was completed. */
const states = [0x7f, 0x3f, 0x3e, 0x3d, 0x3c]

/**
 * Where the next variable begins behind a header that is damaged, or cannot be read: at the first one that ends where another
 * begins, or where nothing has been written; the store's end where there is none.
 */
const nextVariable = (
  window: Window,
  from: number,
  { end, authenticated }: StoreExtent,
): number => {
  const headerLength = variableHeaderLength(authenticated)
  for (let at = alignVariable(from); at + headerLength <= end; at += 4) {
    const bytes = window.orError(at, headerLength)
    if (bytes instanceof StoreError) continue
    const header = decodeVariableHeader(bytes, authenticated)
    if (!header || !states.includes(header.state)) continue
    const next = alignVariable(at + headerLength + header.nameSize + header.dataSize)
    if (next + 2 > end) continue
    const then = window.peek(next, 2)
    if (then instanceof StoreError || [0x55aa, 0xffff].includes(then.readUInt16LE())) return at
  }
  return end
}

/** A view of a region that goes forward. Where it cannot be read, it is looked at sector by sector, each once. */
class Window {
  #start = 0
  #bytes: Buffer = Buffer.alloc(0)
  /** By their numbers; null: all could be read so far. */
  #sectors: Map<number, Buffer | StoreError> | null = null

  constructor(
    readonly region: Region,
    readonly end: number,
  ) {}

  /** Bytes before `end`, valid until the next call; why they cannot be read. */
  orError(offset: number, length: number): Buffer | StoreError {
    const at = offset - this.#start
    if (at >= 0 && at + length <= this.#bytes.length) return this.#bytes.subarray(at, at + length)
    if (this.#sectors) return this.#pieces(this.#sectors, offset, length)
    const most = Math.min(Math.max(length, windowSize), this.end - offset)
    const bytes = loadOrError(this.region, offset, most)
    if (bytes instanceof StoreError) {
      this.#bytes = Buffer.alloc(0)
      this.#sectors = new Map()
      return this.#pieces(this.#sectors, offset, length)
    }
    this.#bytes = bytes
    this.#start = offset
    return bytes.subarray(0, length)
  }

  /** The same far ahead, without going there. */
  peek(offset: number, length: number): Buffer | StoreError {
    if (!this.#sectors) {
      const bytes = loadOrError(this.region, offset, length)
      if (!(bytes instanceof StoreError)) return bytes
    }
    return this.orError(offset, length)
  }

  /** Is there nothing from here on: erased flash, or zeros? What cannot be read counts as nothing. */
  isBlank(from: number): boolean {
    for (let at = from; at < this.end; at += sectorSize) {
      const bytes = this.orError(at, Math.min(sectorSize, this.end - at))
      if (bytes instanceof StoreError) continue
      if (bytes.some(byte => byte !== 0xff && byte !== 0)) return false
    }
    return true
  }

  #pieces(
    sectors: Map<number, Buffer | StoreError>,
    offset: number,
    length: number,
  ): Buffer | StoreError {
    const first = Math.floor(offset / sectorSize)
    const pieces: Buffer[] = []
    for (let n = first; n * sectorSize < offset + length; n++) {
      const from = n * sectorSize
      const piece =
        sectors.get(n) ??
        loadOrError(this.region, from, Math.min(sectorSize, this.region.length - from))
      sectors.set(n, piece)
      if (piece instanceof StoreError) return piece
      pieces.push(piece)
    }
    const from = offset - first * sectorSize
    return Buffer.concat(pieces).subarray(from, from + length)
  }
}

const loadOrError = (region: Region, offset: number, length: number): Buffer | StoreError => {
  try {
    return region.load(offset, length)
  } catch (error) {
    assertStoreError(error)
    return error
  }
}
