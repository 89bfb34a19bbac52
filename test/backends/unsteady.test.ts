/** A ring that is written all round between any two looks at it: nothing of it is believed. */
import t from 'tap'
import { RamoopsDriver } from '#src/backends/ramoops/driver.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { attach, format } from '#src/index.js'
import { Region } from '#src/region/region.js'
import { folder } from '../program.js'
import { randomFor } from '../random.js'
import { storeOf } from './store.js'

/** A region that somebody writes to after each look. */
class BusyRegion extends Region {
  afterwards = (): void => {}
  override loadInto(bytes: Buffer, offset: number, length: number): void {
    super.loadInto(bytes, offset, length)
    this.afterwards()
  }
}

for (const ecc of [0, 16])
  t.test(`ecc ${ecc}`, async t => {
    const random = randomFor(t)
    const options = { record_size: 4096, console_size: 8192, pmsg_size: 0, ftrace_size: 0, ecc }
    const size = 16384
    const path = `${folder(t)}/region.img`
    format(path, { ...options, mem_size: size })
    const guest = attach(path, options)
    t.teardown(() => guest.close())
    const region = new BusyRegion(path)
    const store = storeOf(new RamoopsDriver(region, makeLayout(options, size)), 'x')
    t.teardown(() => store.close())
    const write = (): void => {
      guest.write({ type: 'console', bytes: random.bytes(5000 + random.below(3000)) })
    }
    write()
    t.ok(store.open('console-x-0'), 'it rests')
    region.afterwards = write
    t.throws(() => store.open('console-x-0'), {
      name: 'StoreError',
      errno: 'EIO',
      message: /console is written faster than it can be read: try again later$/,
    })
    region.afterwards = () => {}
    t.ok(store.open('console-x-0'), 'and rests again')
  })
