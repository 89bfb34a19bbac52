/** A QEMU migration stream, alone or behind libvirt's header: whatever it holds, an image of bounded length. */
import assert from 'node:assert/strict'
import { Region } from '#src/region/region.js'
import {
  capabilities,
  configuration,
  eos,
  head,
  join,
  list,
  page,
  pageBits,
  saveOf,
  start,
  streamOf,
} from '../../model/migration.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()
/** What is looked at of an image, in bytes. */
const looked = 2 ** 16

const small = (pages: Uint8Array[], ...setup: Uint8Array[]): Buffer =>
  join(
    head,
    configuration('pc', pageBits(10), ...setup),
    start([
      list([
        ['a', 4096],
        ['b', 8192],
      ]),
      ...pages,
      eos,
    ]),
  )

export const target: Target = {
  seeds: () => {
    const memory = Buffer.alloc(0x3000)
    memory.write('bytes', 0x1000)
    const pages = [page('a', 0, Buffer.alloc(1024, 1)), page(null, 1024, 0), page('b', 2048, 7)]
    const mapped = join(
      head,
      configuration('pc', capabilities('mapped-ram')),
      start([{ u64: 4096 + 4 }, 'a', { u64: 4096 }, { u32: 1 }, { u64: 4096 }, { u64: 150 }]),
      { u64: 200 },
      Buffer.alloc(6000, 1),
    )
    const stream = streamOf(memory)
    return [stream, saveOf(stream), small(pages), small(pages, capabilities('x-colo')), mapped]
  },
  words: [
    'QEVM\0\0\0\x03',
    'LibvirtQemudSave',
    '\x03ram',
    '\x0fx-ignore-shared',
    '\x0amapped-ram',
    '\0\0\0\0\0\0\0\x10',
    '\0\0\0\0\0\0\x10\x08',
    '\0\0\0\0\0\0\x10\x22',
    '\x7e\0\0\0\x02',
  ],
  longest: 16384,
  run(bytes) {
    file.write(bytes)
    const region = new Region(file.path, { readOnly: true })
    try {
      if (region.notes.length === 0) return
      assert.ok(region.notes.length < 2000 && region.length <= 2 ** 40)
      // oxlint-disable-next-line no-control-regex -- controls are what is looked for
      for (const note of region.notes) assert.doesNotMatch(note, /[\0-\x1f\x7f-\x9f]/)
      for (let at = 0, looks = 0; at < region.length && looks < 20; looks++) {
        const data = region.nextData(at)
        if (!data) break
        assert.ok(data.from >= at && data.to > data.from && data.to <= region.length)
        region.load(data.from, Math.min(looked, data.to - data.from))
        at = data.to
      }
      const start = Math.max(0, region.length - looked)
      region.load(start, region.length - start)
    } finally {
      region.close()
    }
    assert.ok(file.read().equals(bytes))
  },
}
