/** Which place the next dump takes. */
import t from 'tap'
import { nextDumpZone } from '#src/pstore/rotation.js'

/** A place for each number: the dump's time in nanoseconds; `e` after it: erased; `-`: never one; `?`: unreadable. */
const turns = (text: string) =>
  text.split(' ').map(word => ({
    time: '-?'.includes(word) ? null : { sec: 7n, nsec: parseInt(word) },
    free: word.endsWith('-') || word.endsWith('e'),
    ...(word === '?' && ({ bad: true } as const)),
  }))

const table: [text: string, last: number, next: number, why: string][] = [
  ['- - - -', -1, 0, 'nothing yet'],
  ['1 - - -', -1, 1, 'one'],
  ['1 2 3 4', -1, 0, 'full: the oldest gives way'],
  ['5 6 3 4', -1, 2, 'full, and once around'],
  ['5 2 3 -', -1, 3, 'a free place goes first'],
  ['5 - 3 4', -1, 1, 'a hole after the newest'],
  ['- 2 3 4', -1, 0, 'a hole before the oldest'],
  ['1e 2e 3e 4e', -1, 0, 'all erased: it goes on after the newest'],
  ['5e 6e 3e 4e', -1, 2, 'all erased, once around'],
  ['9 2 3 4', -1, 1, 'a clock that was set back'],
  ['1 1 1 -', -1, 3, 'in one tick'],
  ['5 5 3 5', -1, 2, 'in one tick, across the end'],
  ['5 3 3 5', -1, 1, 'in one tick, across the end'],
  ['5 5 5 5', 1, 2, 'all in one tick: after the one that was written last'],
  ['5 5 5 5', -1, 0, 'all in one tick, by others'],
  ['5 5 3 4', 0, 1, 'the last one written here is one of the newest'],
  ['5 6 3 4', 0, 2, 'others have written since'],
  ['? 2 3 4', -1, 1, 'full: the oldest that can be read gives way'],
  ['1 ? - 4', -1, 2, 'a free place, though it is the last'],
  ['? ? ?', -1, 0, 'none can be read: storing there says why'],
  ['5', -1, 0, 'a single place'],
  ['5', 0, 0, 'a single place'],
]

t.test('the next dump takes', async t => {
  for (const [text, last, next, why] of table) t.equal(nextDumpZone(turns(text), last), next, why)
})
