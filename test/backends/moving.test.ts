/** What its writer, who takes no lock, changes while it is read: what is shown is of one moment. */
import t, { type Test } from 'tap'
import { EfiDriver } from '#src/backends/efi/driver.js'
import { VariableStore } from '#src/backends/efi/variable-store.js'
import { ErstDriver } from '#src/backends/erst/driver.js'
import { makeErst } from '#src/backends/erst/mkfs.js'
import { RamoopsDriver } from '#src/backends/ramoops/driver.js'
import { makeRamoops } from '#src/backends/ramoops/mkfs.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { Zone } from '#src/backends/ramoops/zone.js'
import { encodeNumbers } from '#src/backends/ramoops/zone-header.js'
import { makeZones } from '#src/backends/zone/mkfs.js'
import { makeZoneLayout } from '#src/backends/zone/layout.js'
import { Zone as DiskZone } from '#src/backends/zone/zone.js'
import { StoreError } from '#src/pstore/errors.js'
import { Region } from '#src/region/region.js'
import { file, folder } from '../program.js'
import { makeStore } from './efi/stores.js'
import { storeOf } from './store.js'
import type { Store } from '#src/pstore/store.js'

/** A region in which something happens after each load of so many bytes, some times. */
class MovingRegion extends Region {
  moves = 0
  move = (_loaded: number): void => {}
  override loadInto(bytes: Buffer, offset: number, length: number): void {
    super.loadInto(bytes, offset, length)
    if (length <= 100 || this.moves === 0) return
    this.moves--
    this.move(length)
  }
}

interface Moving {
  region: MovingRegion
  write(text: string): void
  read(alone?: boolean): string
  /** What is left out of it. */
  cut(): number
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
      makeRamoops(path, layout, false)
      const region = new MovingRegion(path)
      const writing = new Region(path)
      t.teardown(() => (region.close(), writing.close()))
      const [place] = layout.zones
      const writer = new Zone(writing, place, layout.ecc, 'little')
      const reader = new Zone(region, place, layout.ecc, 'little')
      return {
        region,
        write: text => writer.append(Buffer.from(text), 1),
        read: alone => reader.read(alone).content.toString(),
        cut: () => reader.read().cut,
      }
    },
  ]),
  [
    'pstore_blk',
    t => {
      const path = `${folder(t)}/disk.img`
      const sizes = { console_size: 4096, kmsg_size: 0, pmsg_size: 0, ftrace_size: 0 }
      const layout = makeZoneLayout(sizes, 4096)
      makeZones(path, layout)
      const region = new MovingRegion(path)
      const writing = new Region(path)
      t.teardown(() => (region.close(), writing.close()))
      const [place] = layout.zones
      const writer = new DiskZone(writing, place, 'little')
      const reader = new DiskZone(region, place, 'little')
      return {
        region,
        write: text => writer.append(Buffer.from(text), 1),
        read: alone => reader.read(alone).content.toString(),
        cut: () => reader.read().cut,
      }
    },
  ],
]

for (const [name, make] of kinds)
  t.test(name, async t => {
    const { region, write, read, cut } = make(t)
    write(text('a'))
    region.move = () => write(text('b'))
    region.moves = 1
    t.match(read(), /^a+b{3000}$/, 'all of it is from after the move')
    // Of one that never rests the text before the moves is shown, and the rest is counted: nobody waits for it.
    region.move = () => write('c'.repeat(100))
    region.moves = Infinity
    t.match(read(), /^a*b{2000,}c*$/)
    t.ok(cut() >= 100)
    let letter = 0x30
    region.move = () => {
      write(text(String.fromCharCode(letter++)))
      write(text(String.fromCharCode(letter++)))
    }
    t.equal(read(), '', 'nor is anything believed of one that was written all round')
    t.ok(cut() > 3000)
    region.moves = 0
    t.equal(cut(), 0)
  })

t.test('beside a writer that stores its bytes first, one copy is not enough', t => {
  for (const [name, make] of kinds) {
    const { region, write, read } = make(t)
    write(text('a'))
    write(text('b'))
    const whole = read()
    t.equal(read(false), whole, name)
    // The bytes that take the oldest's place come one after the other, and the header at last.
    const at = ((12 + 2 * 3000) % (12 + whole.length)) + 12
    let stored = 0
    region.move = () => {
      if (stored < 20) region.store(at + stored++, Buffer.from('c'))
    }
    region.moves = Infinity
    t.match(read(false), /^a*b+$/, name)
    region.moves = 0
  }
  t.end()
})

t.test('a dump that never rests is no dump', async t => {
  const path = `${folder(t)}/region.img`
  const sizes = { record_size: 8192, console_size: 0, pmsg_size: 0, ftrace_size: 0 }
  makeRamoops(path, makeLayout(sizes, 8192), false)
  const region = new MovingRegion(path)
  const backend = storeOf(new RamoopsDriver(region, makeLayout(sizes, 8192)), 'ramoops')
  t.teardown(() => backend.close())
  backend.write({ type: 'dmesg', bytes: Buffer.from(text('a')) })
  let length = 1000
  region.move = () => {
    region.store(4, encodeNumbers(length, length, 'little'))
    length++
  }
  region.moves = Infinity
  t.throws(() => backend.open('dmesg-ramoops-0'), {
    code: 'EIO',
    message: /changes while it is read/,
  })
  region.moves = 0
  t.ok(backend.open('dmesg-ramoops-0'))
})

t.test('ERST: what its guest erases meanwhile is not shown', async t => {
  const path = `${folder(t)}/erst.img`
  makeErst(path, 8 * 4096, 4096)
  const attached = (region: Region): Store => {
    const backend = storeOf(new ErstDriver(region, { tty_size: 4096 }), 'erst')
    t.teardown(() => backend.close())
    return backend
  }
  const region = new MovingRegion(path)
  const backend = attached(region)
  const guestRegion = new Region(path)
  const guest = attached(guestRegion)

  guest.write({ type: 'dmesg', bytes: Buffer.from(text('a')) })
  const [dump] = backend.records()
  region.moves = 1
  region.move = () => guest.find(dump.name)!.erase()
  t.throws(() => dump.read(), new StoreError(`${dump.name}: no such record`, 'ENOENT'))

  const tty = Buffer.from(text('b'))
  /** The ring's text; null where it has gone by the time that it is read. */
  const ringWhile = (move: (loaded: number) => void): string | null => {
    guest.write({ type: 'tty', bytes: tty })
    const [ring] = backend.records()
    region.moves = Infinity
    region.move = move
    try {
      return ring!.read().toString()
    } catch (error) {
      t.match(error, { code: 'ENOENT' })
      return null
    } finally {
      region.moves = 0
    }
  }
  t.equal(
    ringWhile(() => {}),
    tty.toString(),
  )
  guest.driver.ring('tty')!.restart()
  // Its pieces are listed, and then read.
  t.equal(
    ringWhile(loaded => {
      if (loaded === tty.length) guest.driver.ring('tty')!.restart()
    }),
    null,
  )
  let lists = 0
  const wiped = ringWhile(loaded => {
    if (loaded < tty.length && ++lists === 2) guestRegion.store(0, Buffer.alloc(8))
  })
  t.equal(wiped, null, 'nor what was in a store that is none any more')
})

t.test('an EFI variable that changes whenever it is looked at is none, and later is', async t => {
  const { bytes } = makeStore([{ name: 'dump-type0-1-1-1700000000-D', data: 'x'.repeat(500) }])
  const path = file(t, bytes)
  const region = new MovingRegion(path, { readOnly: true })
  const backend = storeOf(new EfiDriver(new VariableStore(region), {}), 'efi_pstore')
  const guest = new Region(path)
  t.teardown(() => (backend.close(), guest.close()))
  const at = bytes.indexOf('xxx')
  let letter = 97
  region.moves = 100
  region.move = () => guest.store(at, Buffer.of(letter++))
  t.same([...backend.records()], [])
  t.ok(region.moves > 50, 'not for ever')
  region.moves = 0
  const [record] = backend.records()
  t.equal(record.read().toString(), `${String.fromCharCode(letter - 1)}${'x'.repeat(499)}`)
})
