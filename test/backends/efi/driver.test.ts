/** What a kernel showed of EFI variables, from efivarfs's files and from OVMF's store alike. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { ByPath } from '../../tree/by-path.js'
import { fixtures, type Fixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import type { Backend } from '#src/index.js'
import { EfiDriver } from '#src/backends/efi/driver.js'
import type { Variables } from '#src/backends/efi/variables.js'
import { attached, errnoOf, makeStore } from './stores.js'

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

t.test('no dump among variables, and no variables at all', async t => {
  const made = folder(t)
  const backend = attached(t, made)
  t.same([backend.doubts(), backend.unused()], [[], 'holds no EFI variables at all'])
  fs.writeFileSync(path.join(made, 'passwd'), 'root')
  t.match(backend.doubts(), [/^holds no EFI variable, but 1 other file: is it efivarfs, or a copy/])
  const other = 'BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c'
  fs.writeFileSync(path.join(made, other), '')
  t.same(backend.doubts(), [])
  t.match(backend.unused(), /^holds no dump among 1 variable: nothing was written here yet/)
  fs.rmSync(made, { recursive: true })
  t.equal(
    errnoOf(() => backend.doubts()),
    'EIO',
  )

  const [fixture] = fixtures('efi-')
  const full = attached(t, efivars(t, fixture!))
  t.same([full.doubts(), full.unused()], [[], null])
  const store = (...variables: { name: string; vendor: string; data: string }[]): Backend =>
    attached(t, file(t, makeStore(variables).bytes))
  const vendor = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
  t.equal(store().unused(), 'holds no EFI variables at all')
  t.same(store().doubts(), [])
  const some = store({ name: 'BootOrder', vendor, data: 'x' }, { name: 'Lang', vendor, data: 'y' })
  t.match(some.unused(), /^holds no dump among 2 variables/)
  // One that does not count its variables.
  const others: Variables = {
    path: '/nowhere',
    readOnly: true,
    list: () => ({ dumps: [], pieces: [] }),
    read: () => null,
    create: () => false,
    remove: () => {},
    exclusively: work => work(),
    close: () => {},
  }
  const uncounted = new EfiDriver(others, {})
  t.same([uncounted.doubts(), uncounted.unused()], [[], null])
})
