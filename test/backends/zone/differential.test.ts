/** Random and damaged pstore/zone stores, and kernels' own damaged, read twice: ../../differential.ts. */
import t from 'tap'
import { inFile, readStoresTwice, rounds } from '../../differential.js'
import { fixtures, type Fixture } from '../../fixtures.js'
import { cut, damage } from '../../model/damage.js'
import { fieldsOf, randomZoneLayout, randomZones } from '../../model/make-zone.js'
import { eraseFile, readZones, zonesOf, type ZoneLayout } from '../../model/zone.js'
import { folder } from '../../program.js'
import type { Random } from '../../random.js'

/** A fixture's layout, whose sizes are KiB. */
const layoutOf = ({ layout }: Fixture): ZoneLayout => {
  const kib = (size = 0): number => size * 1024
  return {
    mem_size: layout.mem_size,
    kmsg_size: kib(layout.kmsg_size),
    pmsg_size: kib(layout.pmsg_size),
    console_size: kib(layout.console_size),
    ftrace_size: kib(layout.ftrace_size),
    tty_size: 0,
    cpus: layout.cpus ?? 1,
    endian: 'little',
  }
}

const kernels = fixtures('blk-')

/** Without the symbols' names, which take a kernel's own list. */
const unnamed = (text: string): string => text.replace(/ \S+ <- .+$/gm, '')

for (const fixture of kernels)
  t.test(`${fixture.name}: the model shows what Linux did`, async t => {
    const { files } = readZones(fixture.region(), layoutOf(fixture))
    t.same(
      files.map(({ name }) => name),
      fixture.readdir_order!.toReversed(),
    )
    for (const { name, size, time, bytes } of files) {
      const shown = fixture.files.find(file => file.name === name)!
      t.same([size, time], [shown.size, shown.mtime_is_mount_time ? null : shown.mtime], name)
      const [mine, its] = [bytes, fixture.file(name)].map(bytes => bytes.toString('latin1'))
      t.ok(name.startsWith('ftrace') ? unnamed(mine) === unnamed(its) : mine === its, name)
    }
  })

interface Made {
  about: string
  layout: ZoneLayout
  store: Buffer
}

const made = (random: Random): Made => {
  const layout = randomZoneLayout(random)
  return { about: 'made', layout, store: randomZones(random, layout) }
}

const kernelMade = (random: Random): Made => {
  const fixture = random.pick(kernels)
  return { about: fixture.name, layout: layoutOf(fixture), store: fixture.region() }
}

t.test(`${rounds} stores look the same to both`, async t => {
  const path = `${folder(t)}/disk.img`
  readStoresTwice(t, 11, random => {
    const any = random.below(6) ? made : kernelMade
    const { about, layout: whole, store } = any(random)
    const fields = fieldsOf(zonesOf(whole) ?? [])
    const damaged = fields.length
      ? damage(random, store, any(random).store, fields, whole.endian)
      : store
    const bytes = cut(random, damaged, random.pick([1, 512, 4096, 4096]))
    const layout = { ...whole, mem_size: bytes.length }
    // To the source's end, where nobody says how long it is.
    const { mem_size: _, ...sizes } = layout
    return inFile(random, path, {
      about,
      driver: 'zone',
      options: random.below(2) ? layout : sizes,
      bytes,
      model: store => (zonesOf(layout) ? readZones(store, layout) : null),
      erased: (store, name) => eraseFile(store, layout, name),
    })
  })
})
