/**
 * A file that lists all variables, and is written as a whole: QEMU's JSON, AWS's blob. For reading only.
 *
 * Whoever owns it writes it anew with each change, so it is read anew where stat(2) tells of one.
 */
import { crc32 } from 'node:zlib'
import { statOf, versionOf } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { Region } from '../../region/region.js'
import { decodeAwsBlob, isAwsBlob } from './aws-blob.js'
import { Remembered } from './remembered.js'
import {
  byVendor,
  largestData,
  parseName,
  vendors,
  type Listed,
  type Variable,
  type VariableList,
  type Variables,
} from './variables.js'
import type { DumpName, PieceName } from './names.js'
import { decodeVarsJson, isVarsJson } from './vars-json.js'

/** What a file is known by is in so many bytes. */
const headLength = 64
/** Bytes of a file: QEMU keeps at most 256 KiB of variables, in twice as many characters. */
const mostBytes = 2 * 1024 * 1024

type Decode = (source: string, bytes: Buffer) => Listed

const decoderOf = (region: Region): Decode | null => {
  const head = region.load(0, Math.min(headLength, region.length))
  return isAwsBlob(head) ? decodeAwsBlob : isVarsJson(head) ? decodeVarsJson : null
}

/** Do a file's first bytes tell that it lists variables? JSON may be of anything. */
export const listsVariables = (head: Buffer): boolean =>
  isAwsBlob(head) ||
  (isVarsJson(head) && /"(?:variables|UefiData)"/.test(head.toString('latin1', 0, headLength)))

interface Kept extends Variable<DumpName | PieceName> {
  readonly data: Buffer
}

interface Content {
  readonly list: VariableList
  /** By their vendors and names. */
  readonly found: ReadonlyMap<string, Kept>
}

const keyOf = (vendor: string, name: string): string => `${vendor} ${name}`

export class VariableFile implements Variables {
  readonly readOnly = true
  readonly path: string
  readonly #kept = new Remembered<Content>()

  /** Null where a region's bytes are not such a file. The region is open for reading only; this closes it. */
  static in(region: Region): VariableFile | null {
    const decode = region.offset === 0 ? decoderOf(region) : null
    return decode && new VariableFile(region, decode)
  }

  private constructor(
    readonly region: Region,
    readonly decode: Decode,
  ) {
    this.path = region.path
    // What is no such file at all is told now.
    this.#content()
  }

  list(): VariableList {
    return this.#content().list
  }

  #content(): Content {
    const version = versionOf(statOf(this.path, this.region.fd))
    return this.#kept.get(version, () => this.#present())
  }

  /** All of it, at its present length: it grows and shrinks as it is written. */
  #bytes(): Buffer {
    const region = new Region(this.path, { readOnly: true })
    try {
      if (region.length > mostBytes)
        throw new StoreError(
          `${this.path}: is too large for a UEFI variable store: more than 2 MiB`,
        )
      return region.load(0, region.length)
    } finally {
      region.close()
    }
  }

  /** Those that may hold a record: of one name the first, as the firmware finds it. */
  #present(): Content {
    const found = new Map<string, Kept>()
    const { variables, left } = this.decode(this.path, this.#bytes())
    for (const { name, vendor: guid, data } of variables) {
      const vendor = vendors.find(known => known === guid)
      const says = vendor && parseName(vendor, name)
      if (!says || data.length === 0 || data.length > largestData) continue
      const key = keyOf(vendor, name)
      const version = String(crc32(data))
      if (!found.has(key)) found.set(key, { vendor, name, says, size: data.length, version, data })
    }
    return { list: { ...byVendor([...found.values()]), fault: left }, found }
  }

  read({ vendor, name, version }: Variable): Buffer | null {
    const kept = this.#content().found.get(keyOf(vendor, name))
    return kept?.version === version ? kept.data : null
  }

  create(): never {
    throw this.#refusal()
  }

  remove(): never {
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
