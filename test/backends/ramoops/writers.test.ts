/** Writers of shapes: which lengths of a region each makes zones of, and shapes that none makes. */
import t from 'tap'
import { possibleLayouts } from '#src/backends/ramoops/probe/possible.js'
import type { RankedShape } from '#src/backends/ramoops/probe/rank.js'
import { noRings, type Shape } from '#src/backends/ramoops/probe/shapes.js'
import { Budget, View } from '#src/backends/ramoops/probe/view.js'
import { lengthsOf } from '#src/backends/ramoops/probe/writers.js'
import { Region } from '#src/region/region.js'
import { file } from '../../program.js'

const shapeOf = (count: number, size: number, console = 0): Shape => ({
  preset: 'linux-6.2',
  exact: true,
  base: 0,
  dmesg: { count, size },
  sizes: { ...noRings, console },
  cpus: 1,
  end: count * size + console,
})

const cases: [preset: string, count: number, size: number, lengths: [number, number] | null][] = [
  // Two dumps share what is left over, so that each gets half, less one byte at most.
  ['linux-6.2', 2, 0x14000, [0x28000, 0x28003]],
  // Ten of 64 KiB and of what is left over: an eleventh would fit.
  ['linux-6.2', 10, 0x14000, null],
  ['linux-pre-4.10', 10, 0x4000, [0x28000, 0x2bfff]],
  ['linux-3.x', 2, 0x4000, [0x8000, 0xffff]],
  ['rockchip', 10, 0x14000, [0xc8000, 0xc8013]],
]

for (const [preset, count, size, lengths] of cases)
  t.test(`${preset}: ${count} of ${size} bytes`, async t => {
    const found = lengthsOf(preset, shapeOf(count, size))
    t.same(found && [found.from, found.to], lengths)
  })

t.test('a ring that is nothing but its header is nobody’s', async t => {
  const region = new Region(file(t, Buffer.alloc(4096)), { readOnly: true })
  t.teardown(() => region.close())
  const view = new View(region, [], 'little', 4096, new Budget())
  const ranked: RankedShape = {
    shape: shapeOf(0, 0, 12),
    fit: null,
    penalty: 0,
    dumps: 0,
    notDumps: 0,
    staleParity: 0,
    strays: 0,
    contents: new Map(),
    leftovers: new Map(),
    unusual: 0,
    damaged: 0,
    byParity: 0,
  }
  const segment = { offset: 0, length: 4096, address: 0 }
  t.same(possibleLayouts(view, segment, 0, [ranked]), [])
})
