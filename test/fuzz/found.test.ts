/** Every input that once broke something: found/TARGET/NAME. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { StoreError } from '#src/pstore/errors.js'
import { loadTarget } from './target.js'

const found = path.resolve(import.meta.dirname, '../../test/fuzz/found')

for (const name of fs.readdirSync(found))
  t.test(name, async t => {
    const target = await loadTarget(name)
    for (const file of fs.readdirSync(path.join(found, name)))
      try {
        target.run(fs.readFileSync(path.join(found, name, file)))
        t.pass(file)
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        t.pass(`${file}: ${error.message}`)
      }
  })
