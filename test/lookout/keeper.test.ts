/** One backend that is looked after: what is told of it where its source fails between two turns. */
import fs from 'node:fs'
import t from 'tap'
import { attach, format, writeDump } from '#src/index.js'
import { Keeper, type Reports } from '#src/lookout/keeper.js'
import { ArchiveTurn } from '#src/lookout/turn.js'
import { folder, until } from '../program.js'

t.test('what was archived before its source failed is not said to be lost', async t => {
  const home = folder(t)
  const source = `erst:${home}/store.img`
  format(source, { mem_size: 1 << 20 })
  const backend = attach(source, { readOnly: false })
  writeDump(backend, Buffer.from('Kernel panic - not syncing: why\n'))
  backend.close()
  const told: string[] = []
  let made = 0
  const reports: Reports = {
    say: () => {},
    tell: line => told.push(line),
    note: () => {},
    made: folders => (made += folders.length),
    state: () => {},
    calm: () => {},
  }
  const archive = new ArchiveTurn(`${home}/crashes`, reports.tell)
  const how = { keep: false, isNamed: false, isLive: true }
  const keeper = new Keeper({ name: 'erst', source, options: {} }, how, archive, reports)
  t.teardown(() => keeper.close())
  const turn = (): void => {
    keeper.turn()
    archive.end()
  }
  await until(() => {
    turn()
    return made > 0
  })
  fs.truncateSync(`${home}/store.img`, 0)
  turn()
  t.equal(made, 1)
  t.match(told, [/^backend erst: not looked at: .*store\.img: was truncated; /])
})
