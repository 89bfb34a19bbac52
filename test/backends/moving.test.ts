/** A ring that its writer, who takes no lock, moves while it is read: what is shown is of one moment. */
import t, { type Test } from 'tap'
import { formatRegion } from '#src/backends/ramoops/format.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { Zone } from '#src/backends/ramoops/zone.js'
import { formatZones } from '#src/backends/zone/format.js'
import { makeZoneLayout } from '#src/backends/zone/layout.js'
import { Zone as DiskZone } from '#src/backends/zone/zone.js'
import { Region } from '#src/region/region.js'
import { folder } from '../program.js'

/** A region in which something happens after each load of so many bytes, some times. */
class MovingRegion extends Region {
  moves = 0
  move = (): void => {}
  override load(offset: number, length: number): Buffer {
    const bytes = super.load(offset, length)
    if (length > 100 && this.moves > 0) {
      this.moves--
      this.move()
    }
    return bytes
  }
}

interface Moving {
  region: MovingRegion
  write(text: string): void
  read(): string
}

const text = (letter: string): string => letter.repeat(3000)

/** A ring of 4 KiB, and a writer beside the one that reads. */
const kinds: [name: string, make: (t: Test) => Moving][] = [
  ...[0, 16].map((ecc): [string, (t: Test) => Moving] => [
    `ramoops, ecc ${ecc}`,
    t => {
      const path = `${folder(t)}/region.img`
      const sizes = { record_size: 0, console_size: 4096, pmsg_size: 0, ftrace_size: 0, ecc }
      const layout = makeLayout(sizes, 4096)
      formatRegion(path, layout, false)
      const region = new MovingRegion(path)
      const writing = new Region(path)
      t.teardown(() => (region.close(), writing.close()))
      const [place] = layout.zones
      const writer = new Zone(writing, place, layout.ecc, 'little')
      const reader = new Zone(region, place, layout.ecc, 'little')
      return {
        region,
        write: text => writer.append(Buffer.from(text), 1),
        read: () => reader.read().content.toString(),
      }
    },
  ]),
  [
    'pstore_blk',
    t => {
      const path = `${folder(t)}/disk.img`
      const sizes = { console_size: 4096, kmsg_size: 0, pmsg_size: 0, ftrace_size: 0 }
      const layout = makeZoneLayout(sizes, 4096)
      formatZones(path, layout)
      const region = new MovingRegion(path)
      const writing = new Region(path)
      t.teardown(() => (region.close(), writing.close()))
      const [place] = layout.zones
      const writer = new DiskZone(writing, place, 'little')
      const reader = new DiskZone(region, place, 'little')
      return {
        region,
        write: text => writer.append(Buffer.from(text), 1),
        read: () => reader.read().toString(),
      }
    },
  ],
]

for (const [name, make] of kinds)
  t.test(name, async t => {
    const { region, write, read } = make(t)
    write(text('a'))
    region.move = () => write(text('b'))
    region.moves = 1
    t.match(read(), /^a+b{3000}$/, 'all of it is from after the move')
    // One that never rests is shown as it was found: nobody waits for it.
    region.move = () => write('c')
    region.moves = Infinity
    t.match(read(), /^a*b+c*/)
  })
