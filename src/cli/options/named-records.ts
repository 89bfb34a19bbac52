/** Commands that take a source and names of records, whole or in short. */
import { crashesOf } from '../../crash/grouping.js'
import type { Backend, StoredRecord } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import type { Ring } from '../../pstore/ring.js'
import type { RecordType } from '../../pstore/types.js'
import { describeUnreadable, type Unreadable } from '../../pstore/unreadable.js'
import { tell } from '../../service/log.js'
import { isHidden } from './hidden.js'
import { isPattern, standsFor } from './name-patterns.js'
import type { SourceArgs } from './source.js'

export interface SourceAndNames extends SourceArgs {
  names: string[]
}

export const namesHelp =
  "as `pstorefs ls` prints them, or in short: dmesg-0, console, 'dmesg*', 2 (the dump of that number)"

/** How many names an error lists. */
const listed = 10

const list = (names: readonly string[]): string =>
  names.length > listed
    ? `${names.slice(0, listed).join(', ')}, … (${names.length} in all)`
    : names.join(', ') || 'none'

/** What words are looked for in. */
interface Among {
  /** For messages. */
  readonly source: string
  /** What is named, for messages. */
  readonly noun: string
  has(name: string): boolean
  /** In their order. */
  names(): readonly string[]
  /** What a word that is no pattern means where it stands for several; throws where it may not. */
  several(word: string, found: readonly string[]): readonly string[]
  /** Why a word is none, where more is known than which there are. */
  why?(word: string): string | null
}

/** What words mean, each name once. A name itself always wins. */
const namesMeant = (words: readonly string[], among: Among): string[] => {
  const { source, noun } = among
  let all: readonly string[] | null = null
  const found = words.flatMap(word => {
    if (among.has(word)) return [word]
    const names = (all ??= among.names())
    const meant = names.filter(name => standsFor(word, name))
    if (meant.length === 0)
      throw new StoreError(
        `${source}: has no ${noun} ${word}: ${among.why?.(word) ?? `there is ${list(names)}`}`,
        'ENOENT',
      )
    return isPattern(word) || meant.length === 1 ? meant : among.several(word, meant)
  })
  return [...new Set(found)]
}

const ambiguous = (source: string, word: string, found: readonly string[]): StoreError =>
  new StoreError(`${source}: ${word} is any of ${list(found)}: name one, or give a pattern`)

/** The parts of the newest dump among records, oldest text first. */
const newestDump = (backend: Backend, isMeant: (name: string) => boolean): string[] => {
  const unreadable: Unreadable[] = []
  const records = [...backend.records(what => unreadable.push(what))]
  for (const what of unreadable) tell(describeUnreadable(what))
  const dumps = records.filter(
    ({ type, name }) =>
      type === 'dmesg' && isMeant(name) && !unreadable.some(what => what.name === name),
  )
  const inParts = backend.capacity('dmesg')?.parts ?? backend.identity.driver === 'records'
  const crashes = crashesOf(dumps, inParts, record => record.open(), [])
  return crashes.at(-1)?.dumps.map(({ name }) => name) ?? []
}

/** What a command does with a word that stands for several records: show the newest dump, or refuse. */
export type Several = 'newest' | 'refused'

/** Does a word stand for a zone of which damage hides what it holds? */
const holdsHidden = (backend: Backend, word: string): boolean => {
  for (const place of backend.survey.conditions(false))
    if (isHidden(place) && standsFor(word, place.name)) return true
  return false
}

const amongRecords = (backend: Backend, source: string, how: Several): Among => ({
  source,
  noun: 'record',
  has: name => backend.find(name) !== null,
  names: () => [...backend.names(what => tell(describeUnreadable(what)))],
  several: (word, found) => {
    const newest = how === 'newest' ? newestDump(backend, name => found.includes(name)) : []
    if (newest.length === 0) throw ambiguous(source, word, found)
    return newest
  },
  why: word =>
    backend.survey.raw(word)?.length || holdsHidden(backend, word)
      ? 'no file shows what is there (see ls --all, cat --raw)'
      : null,
})

/**
 * The records that words mean.
 *
 * @throws StoreError where one of them means none, or too many
 */
export const recordsNamed = (
  backend: Backend,
  { source, names }: Pick<SourceAndNames, 'source' | 'names'>,
  how: Several,
): StoredRecord[] =>
  namesMeant(names, amongRecords(backend, source, how)).map(name => {
    const record = backend.find(name)
    if (record) return record
    throw new StoreError(`${source}: ${name} is gone meanwhile`, 'ENOENT')
  })

/**
 * The names of what lies in a store that words mean, also of what no file shows.
 *
 * @param has whether there is something of that name
 * @throws StoreError where one of them means none
 */
export const placesNamed = (
  backend: Backend,
  { source, names }: Pick<SourceAndNames, 'source' | 'names'>,
  noun: string,
  has: (name: string) => boolean,
): string[] => {
  const records = amongRecords(backend, source, 'newest')
  return namesMeant(names, {
    ...records,
    noun,
    has,
    names: () => {
      const places = Array.from(backend.survey.conditions(), ({ name }) => name)
      return [...new Set([...records.names(), ...places])].filter(has)
    },
    why: () => null,
  })
}

/** The rings that words mean, empty ones too; throws where one of them means none. */
export const ringsNamed = (
  backend: Backend,
  { source, names }: Pick<SourceAndNames, 'source' | 'names'>,
): Ring[] => {
  const rings = backend.rings()
  const among: Among = {
    source,
    noun: 'ring',
    has: name => rings.some(ring => ring.name === name),
    names: () => rings.map(({ name }) => name),
    several: (word, found) => {
      throw ambiguous(source, word, found)
    },
    why: word => {
      const records = [...backend.names(() => {})]
      if (!records.some(name => standsFor(word, name))) return null
      return 'only rings can be followed; use `pstorefs cat`'
    },
  }
  return namesMeant(names, among).map(name => rings.find(ring => ring.name === name)!)
}

/** Refuse `--android` for anything but pmsg. */
export const requirePmsg = (chosen: readonly { name: string; type: RecordType }[]): void => {
  for (const { name, type } of chosen)
    if (type !== 'pmsg') throw new StoreError(`${name}: --android: only pmsg holds Android's log`)
}
