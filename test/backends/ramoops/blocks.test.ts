/** Blocks of a source: the same bytes as the source has, whichever are kept. */
import t from 'tap'
import { Blocks } from '#src/backends/ramoops/probe/blocks.js'
import { Region } from '#src/region/region.js'
import { file } from '../../program.js'

t.test('any bytes, in any order, of more blocks than are kept', async t => {
  const bytes = Buffer.alloc(5 << 20)
  for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at)
  const region = new Region(file(t, bytes), { readOnly: true })
  t.teardown(() => region.close())
  const blocks = new Blocks(region)
  const wrong: number[] = []
  const look = (at: number): void => {
    if (!blocks.load(at, 12).equals(bytes.subarray(at, at + 12))) wrong.push(at)
  }
  for (let at = 0; at < bytes.length - 12; at += 1020) look(at)
  for (let at = bytes.length - 12; at > 0; at -= 4096) look(at)
  t.same(wrong, [])
})
