/** Files with the same bytes. */
import t from 'tap'
import { Twins } from '#src/backends/records/twins.js'

/** By name: an inode, and bytes; null: they cannot be read. */
const files: { [name: string]: [inode: number, bytes: string | null, length?: number] } = {
  one: [1, 'text'],
  same: [2, 'text'],
  link: [1, 'text'],
  other: [3, 'TEXT'],
  otherSame: [4, 'TEXT'],
  long: [5, 'longer'],
  bad: [6, null, 4],
  worse: [7, null, 4],
  // Their CRC-32 is the same.
  plumless: [8, 'plumless'],
  buckeroo: [9, 'buckeroo'],
}

const table: [added: string[], file: string, has: boolean, reads: number][] = [
  [[], 'one', false, 0],
  [['one'], 'link', true, 0],
  [['one'], 'long', false, 0],
  [['one'], 'same', true, 3],
  [['one'], 'other', false, 2],
  [['one', 'other', 'long'], 'otherSame', true, 4],
  [['bad'], 'one', false, 2],
  [['bad', 'one'], 'worse', false, 3],
  [['bad', 'one'], 'same', true, 4],
  [['plumless'], 'buckeroo', false, 3],
  [['one', 'same'], 'other', false, 3],
]

t.test('twins', async t => {
  for (const [added, file, has, reads] of table) {
    let count = 0
    const twins = new Twins(
      name => {
        const [inode, bytes, length = bytes?.length] = files[name]!
        return { inode: `${inode}`, length: `${length}` }
      },
      name => {
        count++
        const bytes = files[name]![1]
        return bytes === null ? null : Buffer.from(bytes)
      },
    )
    for (const name of added) twins.add(name)
    t.equal(twins.has(file), has, `${added.join(', ')} and ${file}`)
    t.equal(count, reads)
    t.equal(twins.has(file), has, 'and again')
  }
})
