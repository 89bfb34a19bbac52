/**
 * Random and damaged EFI variables, and a kernel's own damaged, read twice: ../../differential.ts. In a
 * folder as efivarfs shows them, and in a firmware's store.
 */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { attach } from '#src/index.js'
import { inFile, readStoresTwice, rounds } from '../../differential.js'
import { fixtures, type Fixture } from '../../fixtures.js'
import { cut, damage } from '../../model/damage.js'
import {
  folderVariables,
  readVariables,
  storeFaults,
  storeVariables,
  variablesFor,
} from '../../model/efi.js'
import { fieldsOf, randomFiles, randomStore } from '../../model/make-efi.js'
import { folder } from '../../program.js'
import type { Random } from '../../random.js'

const kernels = fixtures('efi-')

const efivars = (fixture: Fixture): Map<string, Buffer> =>
  new Map(fixture.efivars!.map(name => [name, fixture.efivar(name)]))

for (const fixture of kernels)
  t.test(`${fixture.name}: the model shows what Linux did`, async t => {
    const fromStore = readVariables(storeVariables(fixture.region())!, true)
    const fromFolder = readVariables(folderVariables(efivars(fixture)), false)
    for (const { files } of [fromStore, fromFolder]) {
      t.same(
        files.map(({ name }) => name),
        fixture.readdir_order!.toReversed(),
      )
      for (const { name, size, time, bytes } of files) {
        const shown = fixture.files.find(file => file.name === name)!
        t.same([size, time], [shown.size, shown.mtime], name)
        t.ok(bytes.equals(fixture.file(name)), name)
      }
    }
  })

t.test(`${rounds} stores look the same to both`, async t => {
  const path = `${folder(t)}/VARS.fd`
  // The rest of OVMF's is erased flash.
  const images = kernels.map(({ region }) => region().subarray(0, 65536))
  readStoresTwice(t, 8, random => {
    const any = (random: Random): Buffer =>
      random.below(6) ? randomStore(random) : random.pick(images)
    const store = any(random)
    const damaged = damage(random, store, any(random), fieldsOf(store))
    return inFile(random, path, {
      about: 'variables',
      driver: 'efi',
      options: {},
      bytes: cut(random, damaged, random.pick([1, 4096])),
      model: bytes => {
        const variables = storeVariables(bytes)
        if (!variables) return null
        const { files, places } = readVariables(variables, true)
        return { files, places: [...places, ...storeFaults(bytes)] }
      },
      erased: null,
    })
  })
})

type Files = ReadonlyMap<string, Buffer>

/** A kernel's folder, with some of the random files among its own, and some of both changed. */
const kernelFiles = (random: Random): Files => {
  const files = new Map([...efivars(random.pick(kernels)), ...randomFiles(random, 3)])
  for (const [name, bytes] of files)
    if (random.below(4) === 0)
      files.set(name, cut(random, damage(random, bytes, bytes, [{ at: 0, width: 4 }]), 1))
  return files
}

t.test(`${rounds} folders look the same to both`, async t => {
  const parent = folder(t)
  let number = 0
  readStoresTwice<Files>(t, 8, random => {
    const files = random.below(6) ? randomFiles(random, random.below(20)) : kernelFiles(random)
    const made = path.join(parent, `${number++}`)
    fs.mkdirSync(made)
    for (const [name, bytes] of files) fs.writeFileSync(path.join(made, name), bytes)
    const source = (): Files =>
      new Map(
        fs
          .readdirSync(made)
          .sort()
          .map(name => [name, fs.readFileSync(path.join(made, name))]),
      )
    return {
      about: `${files.size} files`,
      attach: () => attach(`efi:${made}`, {}),
      source,
      model: files => readVariables(folderVariables(files), false),
      erased: (files, name) => {
        const after = new Map(files)
        for (const one of variablesFor(folderVariables(files), name))
          after.delete(`${one.name}-${one.vendor}`)
        return after
      },
    }
  })
})
