/**
 * Stores read twice: by the program, and by a slow model of doc/formats.md that shares nothing with it
 * (model/). ROUNDS=n reads more, SEED=n one seed's again.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'
import { attach, StoreError, type AttachOptions, type Backend } from '#src/index.js'
import type { Condition } from '#src/pstore/condition.js'
import type { Model, ModelFile } from './model/file.js'
import { randomFor, Random } from './random.js'

export const rounds = Number(process.env.ROUNDS ?? 500)

/** A store in a file or folder, and what should be seen in it. */
export interface Store<Source> {
  /** What it is, for whoever has to find out why the two readings differ. */
  about: string
  attach(): Backend
  /** What there is of it now. */
  source(): Source
  /** What the model sees in it; null where it is no store, and must be refused. */
  model(source: Source): Model | null
  /** What erasing this file should make of it; null where nothing may change it. */
  erased: ((source: Source, name: string) => Source) | null
}

/** A store of one file: what there is to know of it. */
export interface StoreFile {
  about: string
  /** What attaches to it, and what says how it is laid out. */
  driver: string
  options: AttachOptions
  bytes: Buffer
  model: (bytes: Buffer) => Model | null
  erased: ((bytes: Buffer, name: string) => Buffer) | null
}

/** Put a store into a file; sometimes not at its start, and then its options say where. */
export const inFile = (random: Random, path: string, store: StoreFile): Store<Buffer> => {
  const { about, driver, bytes, model, erased } = store
  const before = random.pick([0, 0, 0, 100, 4096])
  fs.writeFileSync(path, Buffer.concat([Buffer.alloc(before, 0xaa), bytes]))
  const options = before ? { ...store.options, mem_address: before } : store.options
  return {
    about: `${about}, ${bytes.length} bytes: ${JSON.stringify(options)}`,
    attach: () => attach(`${driver}:${path}`, options),
    source: () => fs.readFileSync(path),
    model: source => model(source.subarray(before)),
    erased:
      erased &&
      ((source, name) =>
        Buffer.concat([source.subarray(0, before), erased(source.subarray(before), name)])),
  }
}

/** What the program shows. */
const seen = (backend: Backend): Model => ({
  files: Array.from(backend.records(), record => ({
    name: record.name,
    size: record.size,
    time: record.time && { sec: record.time.sec, nsec: record.time.nsec },
    bytes: record.read(),
  })),
  places: Array.from(backend.survey.conditions(), ({ name, state, record }) => ({
    name,
    state,
    record,
  })),
})

/** What a failure prints: no buffers of many kilobytes. */
const printed = ({ name, size, time, bytes }: ModelFile): string => {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8)
  const start = JSON.stringify(bytes.toString('latin1', 0, 60))
  return `${name} ${size} ${time ? `${time.sec}.${time.nsec}` : '-'} ${bytes.length} ${hash} ${start}`
}

/** What no file shows, in full: of all places, or only of those that a look at the files leaves over. */
const dropped = (backend: Backend, shown: boolean): Condition[] =>
  [...backend.survey.conditions(shown)].filter(({ record }) => record === null)

/** Two things that should be the same, and what they are. */
type Differ = [what: string, found: unknown, wanted: unknown]

/** What the program shows is what the model sees; null where that is so. */
const differ = (when: string, found: Model, wanted: Model): Differ | null => {
  if (!isDeepStrictEqual(found.files, wanted.files))
    return [`files ${when}`, found.files.map(printed), wanted.files.map(printed)]
  if (!isDeepStrictEqual(found.places, wanted.places))
    return [`places ${when}`, found.places, wanted.places]
  return null
}

/** A backend; or why there is none. */
const attachTo = <Source>({ attach }: Store<Source>): Backend | string => {
  try {
    return attach()
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return error.message
  }
}

/** Read a store twice; then erase one of its records, and read the rest twice. */
const readTwice = <Source>(
  store: Store<Source>,
  random: Random,
  count: (kind: string) => void,
): Differ | null => {
  const source = store.source()
  const wanted = store.model(source)
  const backend = attachTo(store)
  if (typeof backend === 'string') {
    count('refused')
    return wanted && ['refused', backend, wanted.files.map(printed)]
  }
  try {
    if (!wanted) return ['attached', [...backend.records()].length, 'refused']
    for (const { name } of wanted.files) count(name.replace(/-[a-z_]+-\d+/, ''))
    for (const { state } of wanted.places) count(state)
    const first = differ('at first', seen(backend), wanted)
    if (first) return first
    const [all, left] = [dropped(backend, true), dropped(backend, false)]
    if (!isDeepStrictEqual(left, all)) return ['dropped', left, all]
    if (!isDeepStrictEqual(store.source(), source)) return ['reading changed it', true, false]
    if (wanted.files.length === 0 || random.below(3) === 0) return null
    return eraseOne(store, backend, random.pick(wanted.files), wanted)
  } finally {
    backend.close()
  }
}

const eraseOne = <Source>(
  store: Store<Source>,
  backend: Backend,
  { name }: ModelFile,
  before: Model,
): Differ | null => {
  const source = store.source()
  const record = backend.find(name)
  if (!record) return [`looked for ${name}`, record, name]
  if (!store.erased) {
    let refused = false
    try {
      record.erase()
    } catch (error) {
      refused = error instanceof StoreError && error.code === 'EROFS'
    }
    const same = refused && isDeepStrictEqual(store.source(), source)
    return same ? null : [`${name} erased`, 'done', 'refused']
  }
  if (!record.erase()) return [`${name} erased`, false, true]
  const left = store.source()
  if (!isDeepStrictEqual(left, store.erased(source, name)))
    return [`the source without ${name}`, 'other bytes', 'those of the model']
  const after = store.model(left)!
  const found = seen(backend)
  const others = before.files.filter(file => file.name !== name)
  const names = new Set(others.map(file => file.name))
  // What was shown before is as it was, and keeps its name.
  const still = found.files.filter(file => names.has(file.name))
  if (!isDeepStrictEqual(still, others))
    return [`beside ${name}`, still.map(printed), others.map(printed)]
  const fresh = attachTo(store)
  if (typeof fresh === 'string') return [`without ${name}`, fresh, after.files.map(printed)]
  try {
    // Who has not seen what was erased may call another as it was called.
    const same = ({ files }: Model) => files.map(file => [file.time, file.bytes.toString('latin1')])
    if (!isDeepStrictEqual(same(found), same(after)))
      return [`files without ${name}`, found.files.map(printed), after.files.map(printed)]
    return differ(`without ${name}`, seen(fresh), after)
  } finally {
    fresh.close()
  }
}

/**
 * Make stores, and read each twice.
 *
 * @param kinds how many kinds of files and places must have been among them: or they show nothing
 */
export const readStoresTwice = <Source>(
  t: Test,
  kinds: number,
  make: (random: Random) => Store<Source>,
): void => {
  const seeds = randomFor(t)
  const counts = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    // The first store of a run is that of its seed, so that one can be had again.
    const seed = round === 0 ? seeds.seed : seeds.below(2 ** 31)
    const random = new Random(seed)
    const store = make(random)
    const difference = readTwice(store, random, kind =>
      counts.set(kind, (counts.get(kind) ?? 0) + 1),
    )
    if (!difference) continue
    const [what, found, wanted] = difference
    t.fail(`SEED=${seed} ROUNDS=1: ${what}: ${store.about}`, { found, wanted })
    return
  }
  const summary = [...counts].map(([kind, count]) => `${count} ${kind}`).sort()
  t.comment(summary.join(', '))
  if (rounds >= 100) t.ok(counts.size >= kinds, `all kinds were there: ${summary.join(', ')}`)
}
