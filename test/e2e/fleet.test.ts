/** doc/guides/fleet.md: what it has others configure. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { messageId } from '#src/ship/journal.js'
import { folder, succeed } from '../program.js'
import { RealCollector, skipWithoutCollector } from './collector.js'

const guide = fs.readFileSync(
  path.resolve(import.meta.dirname, '../../doc/guides/fleet.md'),
  'utf8',
)
/** Its blocks of a language. */
const blocks = (language: string): string[] =>
  Array.from(
    guide.matchAll(new RegExp(`^\`\`\`${language}\n([^]+?)^\`\`\``, 'gm')),
    ([, text = '']) => text,
  )

const layout: AttachOptions = { record_size: 65536, console_size: 262144 }

/** The guide's two guests, of which the first has crashed, and a config file of them. */
const makeGuests = (t: Test): { config: string; archive: string } => {
  const home = folder(t)
  const [toml = ''] = blocks('toml')
  for (const guest of ['1', '2']) {
    fs.mkdirSync(`${home}/${guest}`)
    format(`${home}/${guest}/pstore.img`, { ...layout, mem_size: 1 << 20 })
  }
  const backend = attach(`${home}/1/pstore.img`, layout)
  backend.write({
    type: 'dmesg',
    bytes: Buffer.from('Panic#1 Part1\n<0>[   12.000000] Kernel panic - not syncing: why\n'),
  })
  backend.close()
  fs.writeFileSync(`${home}/guests.toml`, toml.replaceAll('/var/lib/guests', home))
  return { config: `${home}/guests.toml`, archive: `${home}/crashes` }
}

t.test('its config file, its numbers, and what it says of the journal', async t => {
  const { config, archive } = makeGuests(t)
  const file = `${folder(t)}/pstorefs.prom`
  const args = ['--config', config, '--all-backends', archive, '--textfile', file]
  t.match(succeed(t, ['archive', ...args]).toString(), /Z-guest1-panic-1: 1 record\n$/)
  const text = fs.readFileSync(file, 'utf8')
  t.match(text, 'pstorefs_archive_crashes{backend="guest1",kind="panic"} 1\n')
  t.match(text, 'pstorefs_records_waiting{backend="guest2"} 0\n')
  // Each number that there is has a row, and each that an alert asks for is there.
  const numbers = new Set(Array.from(text.matchAll(/^# TYPE (\w+) /gm), ([, name]) => name!))
  const rows = Array.from(guide.matchAll(/^\| `(pstorefs_\w+)/gm), ([, name]) => name!)
  t.same(rows.toSorted(), [...numbers].toSorted())
  for (const [name] of blocks('yaml')
    .join('')
    .matchAll(/\bpstorefs_\w+/g))
    t.ok(numbers.has(name), name)
  t.match(guide, messageId)
})

t.test('its collector takes what is shipped', { skip: skipWithoutCollector }, async t => {
  const { config, archive } = makeGuests(t)
  const [given = ''] = blocks('yaml')
  const collector = await RealCollector.start(t, port =>
    given
      .replace(':4318', `:${port}`)
      .replace('service:\n', 'service:\n  telemetry: {metrics: {level: none}}\n'),
  )
  succeed(t, ['archive', '--config', config, '--all-backends', archive])
  t.match(succeed(t, ['ship', archive, collector.url]).toString(), /: 1 crash sent to /)
  t.match(collector.printed(), /"log records": 1\b/)
})
