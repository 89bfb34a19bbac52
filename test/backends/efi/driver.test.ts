/** What a kernel showed of EFI variables, from efivarfs's files and from OVMF's store alike. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { ByPath } from '../../tree/by-path.js'
import { fixtures, type Fixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import { attached } from './stores.js'

/** The fixture's variables as a folder. */
const efivars = (t: Test, fixture: Fixture): string => {
  const made = folder(t)
  for (const name of fixture.efivars!) fs.writeFileSync(path.join(made, name), fixture.efivar(name))
  return made
}

const sources: [what: string, make: (t: Test, fixture: Fixture) => string][] = [
  ['efivarfs', efivars],
  ['the variable store', (t, fixture) => file(t, fixture.region())],
  ['the variable store after the next boot', (t, fixture) => file(t, fixture.regionAfterRead())],
]

for (const fixture of fixtures('efi-'))
  for (const [what, make] of sources)
    t.test(`${fixture.name} from ${what}`, async t => {
      const backend = attached(t, make(t, fixture))
      const records = [...backend.records()]
      t.same(
        records.map(({ name }) => name),
        fixture.readdir_order!.toReversed(),
      )
      for (const { name, size, mtime } of fixture.files) {
        const record = backend.find(name)
        t.match(record, { name, size, time: mtime, type: 'dmesg', compressed: false, ecc: null })
        if (record && !record.read().equals(fixture.file(name))) t.fail(`${name}: bytes`)
      }
      const tree = new ByPath([backend])
      t.same(
        tree.readdir('/').slice(2, 2 + fixture.files.length),
        fixture.readdir_order,
        'listed as the kernel lists them',
      )
    })

t.test('erasing all of them through the tree', async t => {
  const [fixture] = fixtures('efi-')
  const made = efivars(t, fixture)
  const other = 'BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c'
  fs.writeFileSync(path.join(made, other), '')
  const tree = new ByPath([attached(t, made)])
  for (const { name } of fixture.files) tree.unlink(`/${name}`)
  t.same(tree.readdir('/'), ['.', '..', 'efi_pstore'])
  t.same(fs.readdirSync(made), [other], 'no other variable is touched')
})
