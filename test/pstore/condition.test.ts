/** Places that cannot be read: said of each, and no other is hidden. */
import t from 'tap'
import { StoreError } from '#src/pstore/errors.js'
import { describeCut, faultsOf, foundAt, conditionAt, type Site } from '#src/pstore/condition.js'
import { describeUnreadable } from '#src/pstore/unreadable.js'

const unreadable = new StoreError('region.img: cannot be read', 'EIO')
const site: Site = { type: 'pmsg', name: 'pmsg-x-0', index: 0, offset: 0, length: 16, room: 4 }

t.test('one that cannot be read is damaged, and the others are found all the same', async t => {
  const failing = (): never => {
    throw unreadable
  }
  t.match(conditionAt(site, failing), { ...site, state: 'damaged', findings: [unreadable.message] })
  const found: number[] = []
  const look = (n: number): number | null => (n === 2 ? failing() : n === 3 ? null : n)
  t.throws(() => {
    for (const n of foundAt([1, 2, 3, 4], look)) found.push(n)
  }, unreadable)
  t.same(found, [1, 4])
})

t.test('a mistake of this program is not taken for damage', async t => {
  const mistaken = (): never => {
    throw new TypeError('undefined is not a function')
  }
  t.throws(() => conditionAt(site, mistaken), TypeError)
  t.throws(() => [...foundAt([1], mistaken)], TypeError)
})

t.test('what is missing is said in a line', async t => {
  t.match(describeCut('console-x-0', 1), /^console-x-0: 1 byte cut: /)
  t.match(describeCut('console-x-0', 20), /^console-x-0: 20 bytes cut: /)
  const lost = { type: 'pmsg', id: 0n, name: 'pmsg-x-0', time: null, error: unreadable } as const
  t.equal(describeUnreadable(lost), 'region.img: cannot be read: pmsg-x-0 cannot be shown')
})

t.test('what is wrong with a record, in words', async t => {
  const sound = { compressed: false, ecc: null, cut: 0 }
  t.same(faultsOf(sound), [])
  t.same(faultsOf({ ...sound, ecc: { corrected: 0, bad: 0 } }), [])
  t.same(faultsOf({ ...sound, ecc: { corrected: 1, bad: 2 } }), [
    '1 byte corrected',
    '2 blocks damaged',
  ])
  t.same(faultsOf({ compressed: true, ecc: null, cut: 3 }), ['cannot be inflated', '3 bytes cut'])
})
