/**
 * A UEFI variable store in a file (a guest's `OVMF_VARS.fd`, a dump of a flash chip): a host's view
 * of a guest's variables. For reading only.
 *
 * What a guest stored is hostile: sizes are checked before they are used, each step goes forward, and
 * the walk never leaves the store. It shows what the firmware would find, in the firmware's order
 * (EDK II's FindVariableEx and VariableServiceGetNextVariableInternal).
 */
import fs from 'node:fs'
import { crc32 } from 'node:zlib'
import { StoreError } from '../../pstore/errors.js'
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
} from './variable-store-format.js'
import { Remembered } from './remembered.js'
import type { DumpName, PieceName } from './names.js'
import {
  byVendor,
  largestData,
  parseName,
  vendors,
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
const qcow2Magic = Buffer.from('QFI\xfb', 'latin1')

/** Where a store's variables are, in bytes from the region's start. */
interface StoreExtent {
  start: number
  end: number
  authenticated: boolean
}

/** A copy of a variable, and where it is. There may be tens of thousands: what can be made of the rest is. */
class Stored implements Variable<DumpName | PieceName> {
  /**
   * @param complete else it counts only where no complete one is there
   * @param offset where its header starts, in bytes from the region's start
   * @param prefix bytes before its data
   * @param size bytes of its data
   * @param sum of all of its bytes
   */
  constructor(
    readonly vendor: Vendor,
    readonly name: string,
    readonly complete: boolean,
    readonly offset: number,
    readonly prefix: number,
    readonly size: number,
    readonly sum: number,
  ) {}

  get says(): DumpName | PieceName {
    return parseName(this.vendor, this.name)!
  }

  get version(): string {
    return `${this.offset}:${this.sum}`
  }
}

export class VariableStore implements Variables {
  /** Erasing is left to the guest: who else writes would race with its firmware. */
  readonly readOnly = true
  readonly #kept = new Remembered<VariableList>()
  readonly path: string

  /**
   * @param region open for reading only; this closes it
   * @throws StoreError where it holds no variable store
   */
  constructor(readonly region: Region) {
    this.path = region.path
    if (this.#place()) return
    if (region.length >= 4 && region.load(0, 4).equals(qcow2Magic))
      throw new StoreError(
        `${this.path}: is a qcow2 image: \`qemu-img convert -O raw\` makes one that can be read`,
      )
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
    }
  }

  list(): VariableList {
    const { dev, ino, size, mtimeNs, ctimeNs } = fs.fstatSync(this.region.fd, { bigint: true })
    return this.#kept.get([dev, ino, size, mtimeNs, ctimeNs].join(), () =>
      byVendor(this.#present()),
    )
  }

  /** The copy of each variable that the firmware would use; each vendor's in the order in which they lie there. */
  #present(): Stored[] {
    const found = vendors.map(() => new Map<string, Stored>())
    for (const copy of this.#walk()) {
      // The first complete copy, else the last of those whose replacement was never completed.
      const ofVendor = found[vendors.indexOf(copy.vendor)]!
      if (ofVendor.get(copy.name)?.complete) continue
      ofVendor.delete(copy.name)
      ofVendor.set(copy.name, copy)
    }
    return found.flatMap(ofVendor => [...ofVendor.values()])
  }

  /** All copies of these vendors' variables that count, complete or not. */
  *#walk(): Generator<Stored, void, void> {
    const place = this.#place()
    // The volume is being rewritten, or is lost.
    if (!place) return
    const { start, end, authenticated } = place
    const headerLength = variableHeaderLength(authenticated)
    const window = new Window(this.region, end)
    for (let at = start; at + headerLength <= end;) {
      const header = decodeVariableHeader(window.bytes(at, headerLength), authenticated)
      if (!header) return
      const prefix = headerLength + header.nameSize
      const length = prefix + header.dataSize
      if (at + length > end) return
      const state = presence(header.state)
      const vendor = vendorBytes.find(({ bytes }) => header.vendor.equals(bytes))?.guid
      if (
        vendor &&
        state !== 'no' &&
        header.nameSize <= longestName &&
        header.dataSize > 0 &&
        header.dataSize <= largestData
      ) {
        const bytes = window.bytes(at, length)
        const name = decodeName(bytes.subarray(headerLength, prefix))
        if (parseName(vendor, name))
          yield new Stored(vendor, name, state === 'yes', at, prefix, header.dataSize, crc32(bytes))
      }
      at = alignVariable(at + length)
    }
  }

  read(variable: Variable): Buffer | null {
    const { offset, prefix, size, sum } = variable as Stored
    const bytes = this.region.load(offset, prefix + size)
    // The guest may have deleted it, or its firmware moved all of them, since the walk.
    if (crc32(bytes) !== sum) {
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

/** A cursor's view of a region, which goes forward. */
class Window {
  #start = 0
  #bytes: Buffer = Buffer.alloc(0)
  constructor(
    readonly region: Region,
    readonly end: number,
  ) {}

  /** Bytes before `end`; valid until the next call. */
  bytes(offset: number, length: number): Buffer {
    let at = offset - this.#start
    if (at < 0 || at + length > this.#bytes.length) {
      this.#bytes = this.region.load(
        offset,
        Math.min(Math.max(length, windowSize), this.end - offset),
      )
      this.#start = offset
      at = 0
    }
    return this.#bytes.subarray(at, at + length)
  }
}
