/**
 * `attach=boot`: the kernel's way for a machine's own region. What the last life left in the rings is
 * kept aside and shown, and the rings start empty for this life's writers.
 *
 * Source: doc/formats.md 2; fs/pstore/ram_core.c (persistent_ram_save_old, persistent_ram_post_init), whose
 * kept copies are in memory only. Here they are on disk before a ring is emptied, since a daemon dies more
 * easily than a kernel.
 */
import { createHash, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { explain, readWhole } from '../native/open.js'
import type {
  Backend,
  Capacity,
  NewRecord,
  OpenRecord,
  RecordFacts,
  StoredRecord,
  Survey,
} from '../pstore/backend.js'
import type { Unreadable } from '../pstore/unreadable.js'
import { contentOf, type Content } from '../pstore/content.js'
import { StoreError } from '../pstore/errors.js'
import type { Fronts } from '../pstore/fronts.js'
import { notThere } from '../pstore/record-handle.js'
import { toJson } from '../pstore/record-json.js'
import type { Ring } from '../pstore/ring.js'
import type { Store } from '../pstore/store.js'
import {
  isLifeRing,
  ringTypes,
  type Identity,
  type RecordType,
  type RingType,
  type Usage,
} from '../pstore/types.js'
import { cut, markOf } from './cut.js'
import { defaultStateFolder, StateFile, type KeptLife, type KeptRing } from './state.js'

export interface LifeOptions {
  /** The folder of the kept copies. Default: {@link defaultStateFolder}. */
  readonly state?: string | undefined
  /** What tells this life from the others. Default: the kernel's boot id. */
  readonly boot?: string
}

/** A life is what has one boot id. */
const bootId = (): string =>
  readWhole('/proc/sys/kernel/random/boot_id', 4096).toString('latin1').trim()

const none = Buffer.alloc(0)

/** What tells a store from all others of this machine, for the name of its state file. */
const nameOf = ({ driver, path: file, offset }: Identity): string => {
  try {
    return `${driver}:${fs.realpathSync(file)}@${offset}`
  } catch (error) {
    throw explain(file, error)
  }
}

/**
 * Begin a life: keep what the last one left in the rings, and empty them; or go on with one, whose rings
 * are left alone.
 *
 * A store that can only be read is not changed, and nothing is written to disk: what its rings hold now
 * is kept in memory.
 *
 * @param store is closed by what is returned, and where this throws, by the caller
 * @returns the same store, with the last life's rings in the place of this one's
 * @throws StoreError where the copies cannot be kept, or it is no store; the rings are as they were
 */
export const beginLife = (
  store: Store,
  { state = defaultStateFolder, boot = bootId() }: LifeOptions = {},
): Backend => {
  const source = nameOf(store.identity)
  const digest = createHash('sha256').update(source).digest('hex').slice(0, 12)
  const name = `${encodeURIComponent(store.name)}-${digest}.kept`
  const file = new StateFile(path.resolve(state), name)
  if (store.readOnly) {
    const old = file.load()
    const life = old?.boot === boot ? old : collect(store, old, source, boot)
    return new LastLife(store, null, life)
  }
  store.driver.refuseForeign?.(true)
  const life = file.exclusively(() => {
    const old = file.load()
    if (old?.boot === boot && old.done) return old
    return store.driver.lock.exclusively(() => {
      if (old?.boot === boot) return settle(store, old, file, newRings(store, old))
      const life = collect(store, old, source, boot)
      if (life.rings.length > 0) file.save(life)
      return settle(store, life, file, new Set())
    })
  })
  return new LastLife(store, file, life)
}

/** A ring that holds something, or did. */
interface Holding {
  type: RingType
  name: string
  /** Null where nothing can be shown of it. */
  record: StoredRecord | null
  raw: Buffer
  damaged: boolean
}

/**
 * The rings that hold something, in the order in which Linux enumerates them, and damaged ones.
 *
 * @throws StoreError (EIO) where one of them cannot be read; dumps stay where they are, and are not looked at
 */
const holdingsOf = (backend: Backend): Holding[] => {
  const damaged = new Map<string, RingType>()
  for (const { type, name, state } of backend.survey.conditions())
    if (isLifeRing(type) && state === 'damaged') damaged.set(name, type)
  const holdings: Holding[] = []
  const add = (type: RingType, name: string, record: StoredRecord | null): void => {
    const raw = backend.survey.raw(name) ?? none
    holdings.push({ type, name, record, raw, damaged: damaged.delete(name) })
  }
  for (const record of backend.records(({ type, error }) => {
    if (isLifeRing(type)) throw error
  }))
    if (isLifeRing(record.type)) add(record.type, record.name, record)
  for (const [name, type] of damaged) add(type, name, null)
  return holdings
}

/** What a ring holds that is not kept yet. */
const newText = (life: KeptLife | null, { name, raw }: Pick<Holding, 'name' | 'raw'>): Buffer => {
  const kept = life?.rings.find(ring => ring.name === name)
  return kept ? cut({ ...kept, raw: kept.raw ?? none }, markOf(life!.id), raw) : raw
}

/**
 * Keep what the last life left: all that the rings hold, but for what an older one left and was kept, and
 * shown. What was kept and never shown comes first.
 */
const collect = (
  backend: Backend,
  old: KeptLife | null,
  source: string,
  boot: string,
): KeptLife => {
  const unseen = new Map(old?.served === false ? old.rings.map(ring => [ring.name, ring]) : [])
  const rings = holdingsOf(backend).map((holding): KeptRing => {
    const { type, name, record, raw, damaged } = holding
    const before = unseen.get(name)
    unseen.delete(name)
    const ring = { type, name, ecc: record?.ecc ?? null, damaged, step: 'saved' as const, raw }
    const rest = newText(old, holding)
    if (!record || rest.length === 0)
      return { ...ring, size: 0, notice: 0, shown: null, ...(before && shownOf(before)) }
    const bytes = record.read()
    if (rest.length === raw.length && !before?.shown)
      return { ...ring, size: record.size, notice: noticeOf(type, bytes, raw), shown: bytes }
    // What parity says of the ring is said of its end, too.
    const text = type === 'ftrace' ? bytes : Buffer.concat([rest, bytes.subarray(raw.length)])
    const shown = before?.shown
      ? Buffer.concat([before.shown.subarray(0, before.shown.length - before.notice), text])
      : text
    return { ...ring, size: shown.length, notice: noticeOf(type, bytes, raw), shown }
  })
  for (const ring of unseen.values())
    rings.push({ ...ring, step: 'saved', raw: ring.damaged ? ring.raw : none })
  return { boot, source, id: randomUUID(), served: false, done: false, rings }
}

/** What a kept ring shows. */
const shownOf = ({ shown, size, notice, ecc }: KeptRing): Partial<KeptRing> => ({
  shown,
  size,
  notice,
  ecc,
})

/** How much a file shows behind its ring's bytes; ftrace's are rendered as a whole. */
const noticeOf = (type: RingType, shown: Buffer, raw: Buffer): number =>
  type === 'ftrace' ? 0 : shown.length - raw.length

/** The rings that hold text of this life already, though it is not settled. */
const newRings = (backend: Backend, life: KeptLife): Set<RingType> => {
  const busy = new Set<RingType>()
  for (const holding of holdingsOf(backend)) {
    const rest = newText(life, holding)
    if (rest.length > 0) busy.add(holding.type)
    const kept = life.rings.find(({ name }) => name === holding.name)
    // No mark: it has been emptied, and is this life's.
    if (kept?.step === 'marked' && rest.length === holding.raw.length) kept.step = 'emptied'
  }
  return busy
}

/**
 * Empty the rings that are kept.
 *
 * @param life as it is on disk
 * @param busy those that hold text of this life: they stay as they are. It follows what is kept, and
 *   is told from it when it is kept itself
 */
const settle = (
  store: Store,
  life: KeptLife,
  file: StateFile,
  busy: ReadonlySet<RingType>,
): KeptLife => {
  const ready = life.rings.filter(({ type, step }) => step !== 'emptied' && !busy.has(type))
  const marked = ready.filter(ring => mark(store, ring, markOf(life.id)))
  if (marked.length > 0) {
    store.driver.sync()
    for (const ring of marked) ring.step = 'marked'
    file.save(life)
  }
  const theirs = new Set(
    life.rings.filter(({ step }) => step === 'emptied').map(({ type }) => type),
  )
  for (const type of ringTypes.filter(isLifeRing))
    if (!busy.has(type) && !theirs.has(type)) store.driver.ring(type)?.restart()
  store.driver.sync()
  for (const ring of ready) ring.step = 'emptied'
  life.done = life.rings.every(({ step }) => step === 'emptied')
  life.served = true
  forget(life)
  file.save(life)
  return life
}

/** Put the mark behind a ring's text; false where it takes none. */
const mark = (backend: Backend, { type, name }: KeptRing, bytes: Buffer): boolean => {
  // A ring that shows nothing is none to the writers, and of ftrace's there may be several.
  if (type === 'ftrace' || !backend.find(name)) return false
  const raw = backend.survey.raw(name)!
  if (raw.subarray(-bytes.length).equals(bytes)) return true
  try {
    backend.write({ type, bytes })
    return true
  } catch (error) {
    // Firmware's store is full: then the texts themselves have to tell.
    if (error instanceof StoreError && error.code === 'ENOSPC') return false
    throw error
  }
}

/** Drop what nobody needs any more. */
const forget = (life: KeptLife): void => {
  for (const ring of life.rings) if (ring.step === 'emptied' && !ring.damaged) ring.raw = null
  const needed = life.rings.filter(({ shown, raw }) => shown || raw)
  life.rings.splice(0, Infinity, ...needed)
}

/** A store with its last life's rings in the place of this one's, which only its writers see. */
class LastLife implements Backend {
  readonly name: string
  readonly identity: Identity
  readonly readOnly: boolean
  readonly notes: readonly string[]
  readonly survey: Survey

  /** @param file null where nothing is changed */
  constructor(
    readonly backend: Backend,
    readonly file: StateFile | null,
    readonly life: KeptLife,
  ) {
    this.name = backend.name
    this.identity = backend.identity
    this.readOnly = backend.readOnly
    this.notes = backend.notes
    this.survey = {
      facts: backend.survey.facts,
      conditions: shown => backend.survey.conditions(shown),
      // Of a kept ring that was damaged its bytes; else those of this life.
      raw: (name, told) => {
        const raw = this.#ring(name)?.raw
        return raw ? Buffer.from(raw) : backend.survey.raw(name, told)
      },
      salvage: name => backend.survey.salvage(name),
    }
  }

  *records(told?: (what: Unreadable) => void): Generator<StoredRecord, void, void> {
    let failure: StoreError | null = null
    const failed = (what: Unreadable): void => {
      // What cannot be read of this life's rings nobody is shown.
      if (isLifeRing(what.type)) return
      if (told) told(what)
      else failure ??= what.error
    }
    for (const record of this.backend.records(failed)) if (!isLifeRing(record.type)) yield record
    for (const { name } of this.life.rings) {
      const record = this.#kept(name)
      if (record) yield record
    }
    if (failure !== null) throw failure as StoreError
  }

  *names(told?: (what: Unreadable) => void): Generator<string, void, void> {
    for (const { name } of this.records(told)) yield name
  }

  find(name: string): StoredRecord | null {
    const kept = this.#kept(name)
    if (kept) return kept
    const record = this.backend.find(name)
    return record && !isLifeRing(record.type) ? record : null
  }

  open(name: string, alone = false): OpenRecord | null {
    const kept = this.#kept(name)
    if (kept) return { record: kept, content: kept.open() }
    const opened = this.backend.open(name, alone)
    return opened && !isLifeRing(opened.record.type) ? opened : null
  }

  erase(record: RecordFacts, unchanged = false): boolean {
    const ring = this.#ring(record.name)
    return ring ? this.#erase(ring) : this.backend.erase(record, unchanged)
  }

  #ring(name: string): KeptRing | undefined {
    return this.life.rings.find(ring => ring.name === name)
  }

  /** The record of a ring that is kept; null where it shows none. Nothing is appended to it any more. */
  #kept(name: string): StoredRecord | null {
    const ring = this.#ring(name)
    if (!ring?.shown) return null
    const { type, size, ecc } = ring
    const open = (): Content => {
      if (!ring.shown) throw notThere(name)
      return contentOf(Buffer.from(ring.shown))
    }
    const facts = {
      type,
      id: 0n,
      name,
      size,
      time: null,
      compressed: false,
      ecc,
      cut: 0,
      version: this.life.id,
    }
    return {
      ...facts,
      open,
      read: () => open().all(),
      erase: () => this.#erase(ring),
      toJSON: () => toJson(this.name, facts),
    }
  }

  rings(): Ring[] {
    return this.backend.rings()
  }

  fronts(): Fronts | null {
    return this.backend.fronts?.() ?? null
  }

  usage(): Usage | null {
    return this.backend.usage()
  }

  capacity(type: RecordType): Capacity | null {
    return this.backend.capacity(type)
  }

  doubts(): string[] {
    return this.backend.doubts()
  }

  unused(): string | null {
    return this.backend.unused()
  }

  refuseForeign(): void {
    this.backend.refuseForeign()
  }

  write(record: NewRecord): number {
    return this.backend.write(record)
  }

  /** A ring's kept copy goes, and this life's text stays. */
  #erase(ring: KeptRing): true {
    const { file, life } = this
    if (!ring.shown) throw notThere(ring.name)
    if (!file) throw new StoreError(`${this.identity.path}: is read-only`, 'EROFS')
    file.exclusively(() => {
      const now = file.load()
      // Somebody else's life, or nobody's: there is no copy of this one any more.
      const kept =
        now?.id === life.id ? now.rings.find(({ name }) => name === ring.name) : undefined
      if (!now || !kept) return
      kept.shown = null
      kept.damaged = false
      forget(now)
      file.save(now)
    })
    ring.shown = null
    ring.damaged = false
    forget(life)
    return true
  }

  sync(): void {
    this.backend.sync()
  }

  close(): void {
    this.backend.close()
  }
}
