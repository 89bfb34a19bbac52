/** Random and damaged ERST stores, and a kernel's own damaged, read twice: ../../differential.ts. */
import t from 'tap'
import { inFile, readStoresTwice, rounds } from '../../differential.js'
import { fixtures } from '../../fixtures.js'
import { cut, damage } from '../../model/damage.js'
import { eraseFile, readErst } from '../../model/erst.js'
import { fieldsOf, randomErst } from '../../model/make-erst.js'
import { folder } from '../../program.js'
import type { Random } from '../../random.js'

const kernels = fixtures('erst-')

for (const fixture of kernels)
  t.test(`${fixture.name}: the model shows what Linux did`, async t => {
    const { files } = readErst(fixture.region())!
    t.equal(files.length, fixture.files.length)
    for (const { name, size, time, bytes } of files) {
      const shown = fixture.files.find(file => file.name === name)!
      t.same([size, time], [shown.size, shown.mtime], name)
      t.ok(bytes.equals(fixture.file(name)), name)
    }
    for (const { names, region } of fixture.erased) {
      const after = names.reduce(eraseFile, fixture.region())
      t.ok(after.equals(region()), `without ${names.join()}, as QEMU does`)
    }
  })

t.test(`${rounds} stores look the same to both`, async t => {
  const path = `${folder(t)}/erst.img`
  readStoresTwice(t, 9, random => {
    const any = (random: Random): Buffer =>
      random.below(6) ? randomErst(random) : random.pick(kernels).region()
    const store = any(random)
    const damaged = damage(random, store, any(random), fieldsOf(store))
    return inFile(random, path, {
      about: 'ERST',
      driver: 'erst',
      options: {},
      bytes: cut(random, damaged, random.pick([1, 4096, 8192])),
      model: readErst,
      erased: eraseFile,
    })
  })
})
