/**
 * A record's facts as extended attributes, for programs that look there (getfattr(1), cp -a, backups): each a text, under
 * `user.pstore.`. Which ones a file has takes no look at its bytes; only who asks for a dump's reason or title waits
 * for it to be read.
 */
import type { RecordFacts } from '../pstore/backend.js'
import { count } from '../pstore/condition.js'
import { withoutControls } from '../pstore/printable.js'
import type { CrashFacts, Records } from '../pstore/records.js'
import { whenDone, type Soon } from '../pstore/soon.js'
import { isoTime } from '../pstore/time.js'
import { isRingType } from '../pstore/types.js'

const prefix = 'user.pstore.'

/** Is this the name of one, whether a file has it or not? */
export const isExtended = (name: string): boolean => name.startsWith(prefix)

/** What is known once a record has been looked at; null: it has none. */
const known: { readonly [name: string]: (record: RecordFacts, records: Records) => string | null } =
  {
    backend: (_, records) => records.name,
    ecc: ({ ecc }) =>
      ecc && `${count(ecc.corrected, 'byte')} corrected, ${count(ecc.bad, 'block')} uncorrectable`,
    time: ({ time }) => time && isoTime(time),
    // A dump's number; a ring is the only one of its type.
    zone: ({ type, id }) => (isRingType(type) ? type : String(id)),
  }

/** What only a dump's text tells. */
const told = ['reason', 'title'] as const satisfies (keyof CrashFacts)[]

const tells = (records: Records, { type }: RecordFacts): boolean =>
  type === 'dmesg' && records.crash !== undefined

/** The names of a record's attributes, in their alphabet. */
export const extendedNames = (records: Records, record: RecordFacts): string[] =>
  [
    ...Object.keys(known).filter(name => known[name]!(record, records) !== null),
    ...(tells(records, record) ? told : []),
  ]
    .toSorted()
    .map(name => `${prefix}${name}`)

/** One of them; null where the record has none of that name. Throws as {@link Records} does. */
export const extendedValue = (
  records: Records,
  record: RecordFacts,
  name: string,
): Soon<string | null> => {
  const short = name.slice(prefix.length)
  if (Object.hasOwn(known, short)) return known[short]!(record, records)
  const wanted = told.find(one => one === short)
  if (wanted === undefined || !tells(records, record)) return null
  return whenDone(records.crash!(record.name), crash => crash && withoutControls(crash[wanted]))
}
