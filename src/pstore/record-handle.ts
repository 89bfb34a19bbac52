/** A record as its store hands it out: facts of one moment, and methods that ask the store of this one. */
import type { Backend, OpenRecord, RecordFacts, RecordJson, StoredRecord } from './backend.js'
import type { Content } from './content.js'
import { StoreError } from './errors.js'
import { toJson } from './record-json.js'
import type { EccState, RecordType } from './types.js'

export const notThere = (name: string): StoreError =>
  new StoreError(`${name}: no such record`, 'ENOENT')

/** What a record asks of its store. */
interface Asked extends Pick<Backend, 'name' | 'erase'> {
  load(name: string): OpenRecord | null
}

/** A record's facts, and the store that it is asked of. */
export class RecordHandle implements StoredRecord {
  readonly type: RecordType
  readonly id: bigint
  readonly name: string
  readonly size: number
  readonly time: StoredRecord['time']
  readonly compressed: boolean
  readonly ecc: EccState | null
  readonly cut: number
  readonly version: string
  readonly #store: Asked

  constructor(store: Asked, facts: RecordFacts) {
    this.#store = store
    this.type = facts.type
    this.id = facts.id
    this.name = facts.name
    this.size = facts.size
    this.time = facts.time
    this.compressed = facts.compressed
    this.ecc = facts.ecc
    this.cut = facts.cut
    this.version = facts.version
  }

  open(): Content {
    const opened = this.#store.load(this.name)
    if (!opened) throw notThere(this.name)
    return opened.content
  }

  read(): Buffer {
    return this.open().all()
  }

  erase(unchanged = false): boolean {
    return this.#store.erase(this, unchanged)
  }

  toJSON(): RecordJson {
    return toJson(this.#store.name, this)
  }
}
