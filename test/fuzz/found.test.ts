/** Every input that once broke something (found/TARGET/NAME), and those that each search begins with. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { StoreError } from '#src/pstore/errors.js'
import { loadTarget, targets } from './target.js'

const dist = path.resolve(import.meta.dirname, '../../dist')
const found = path.resolve(import.meta.dirname, '../../test/fuzz/found')

t.test('each target explores modules that there are', async t => {
  const modules = fs.readdirSync(dist, { recursive: true, encoding: 'utf8' })
  for (const prefix of Object.values(targets).flat())
    t.ok(
      modules.some(module => module.startsWith(prefix)),
      prefix,
    )
})

for (const name of Object.keys(targets))
  t.test(name, async t => {
    const target = await loadTarget(name)
    const folder = path.join(found, name)
    const files = fs.existsSync(folder) ? fs.readdirSync(folder) : []
    const inputs = files.map(file => fs.readFileSync(path.join(folder, file)))
    const seeds = target.seeds()
    for (const bytes of [...inputs, ...seeds])
      try {
        target.run(bytes)
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
      }
    t.pass(`${inputs.length} that were found, ${seeds.length} seeds`)
  })
