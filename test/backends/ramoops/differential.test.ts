/** Random and damaged regions, and kernels' own damaged, read twice: ../../differential.ts. */
import t from 'tap'
import { inFile, readStoresTwice, rounds } from '../../differential.js'
import { fixtures } from '../../fixtures.js'
import { cut, damage, type Field } from '../../model/damage.js'
import { randomOptions, randomRegion } from '../../model/make.js'
import { eraseFile, layoutOf, readRegion, zonesOf, type ModelOptions } from '../../model/region.js'
import { folder } from '../../program.js'
import type { Random } from '../../random.js'

interface Region {
  about: string
  options: ModelOptions
  bytes: Buffer
}

const made = (random: Random): Region => {
  const options = randomOptions(random)
  return { about: 'made', options, bytes: randomRegion(random, layoutOf(options, 0)) }
}

/** Larger ones only take longer. */
const kernels = fixtures().filter(
  ({ backend, layout }) => backend === 'ramoops' && layout.mem_size <= 128 << 10,
)

/** A region that a kernel left, damaged, or cut short and said to be as long as it is. */
const damaged = (random: Random): Region => {
  const { name, layout, region } = random.pick(kernels)
  const options = layout as ModelOptions
  // Where Linux refuses the layout, so must the program.
  const zones = zonesOf(layoutOf(options, 0)) ?? [{ offset: 0, size: 12 }]
  const fields = zones.flatMap(({ offset, size }): Field[] => [
    { at: offset + 4, width: 4 },
    { at: offset + 8, width: 4 },
    { at: offset, width: 4 },
    { at: offset + size - 4, width: 4 },
  ])
  const other = random.pick(kernels).region()
  const bytes = cut(random, damage(random, region(), other, fields), 1)
  const mem_size = random.below(8) ? bytes.length : layout.mem_size
  return { about: name, options: { ...options, mem_size }, bytes }
}

t.test(`${rounds} regions look the same to both`, async t => {
  const path = `${folder(t)}/region.img`
  readStoresTwice(t, 6, random => {
    const { about, options, bytes } = random.below(6) ? made(random) : damaged(random)
    const layout = layoutOf(options, bytes.length)
    return inFile(random, path, {
      about,
      driver: 'ramoops',
      options,
      bytes,
      model: region =>
        zonesOf(layout) && layout.mem_size <= region.length ? readRegion(region, layout) : null,
      erased: (region, name) => eraseFile(region, layout, name),
    })
  })
})
