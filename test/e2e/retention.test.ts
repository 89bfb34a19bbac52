/** `retention` of a real machine's memory: what a kernel that has ramoops there changes is all that is lost. */
import t from 'tap'
import { file, pstorefs, succeed } from '../program.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const layout = { record_size: 65536, console_size: 131072, ecc: 1 }
const flags = Object.entries(layout).flatMap(([name, value]) => [`--${name}`, String(value)])

interface Zone {
  kind: string
  lost: number
  corrected: number
}

t.test('a guest boots and ends: the rest is kept', { skip: skipWithoutGuest() }, async t => {
  const region = file(t, Buffer.alloc(1 << 20))
  succeed(t, ['retention', region])
  await bootGuest({ region, ramoops: layout })
  const { status, stdout } = pstorefs(['retention', region, '--json', ...flags])
  t.equal(status, 1)
  const { found } = JSON.parse(stdout.toString()) as { found: { zones: Zone[] } }
  const dumps = found.zones.filter(({ kind }) => kind === 'dmesg')
  t.ok(dumps.length > 10)
  for (const { lost, corrected } of dumps) t.same([lost, corrected], [1, 0], 'its new header')
})
