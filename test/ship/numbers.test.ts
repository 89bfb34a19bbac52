/** An archive in numbers, as node_exporter reads them. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import t, { type Test } from 'tap'
import type { Entry } from '#src/archive/entries.js'
import type { Manifest } from '#src/archive/manifest.js'
import {
  numbersOf,
  tally,
  writeNumbers,
  type ArchiveNumbers,
  type BackendNumbers,
} from '#src/ship/numbers.js'
import { folder, run } from '../program.js'

const entry = (facts: Partial<Manifest>): Entry => ({
  folder: 'x',
  pending: false,
  manifest: {
    archived: '1700009999.000000000',
    order: null,
    reason: 'panic',
    time: '1700000000.000000000',
    cause: null,
    kind: 'panic',
    title: 'kernel panic: why',
    fingerprint: null,
    kernel: null,
    missing: null,
    host: null,
    after: null,
    source: '/guest.img',
    offset: 0,
    backend: 'guest',
    kept: false,
    records: [],
    unreadable: [],
    ...facts,
  },
})

type Run = Partial<BackendNumbers & Pick<ArchiveNumbers, 'unsent'>>

const textOf = (entries: Entry[], run: Run): string =>
  numbersOf(
    { ...tally(entries), unsent: run.unsent ?? new Map() },
    { waiting: run.waiting ?? new Map(), unattached: run.unattached ?? [] },
    1_700_010_000,
  )

/** Lines that are no comments. */
const samplesIn = (text: string): string[] =>
  text.split('\n').filter(line => line && !line.startsWith('#'))

const hostile = 'a"b\\c\nd'

const cases: [what: string, entries: Entry[], run: Run, samples: string[]][] = [
  ['an empty archive', [], {}, ['pstorefs_archive_run_timestamp_seconds 1700010000']],
  [
    'crashes by backend and kind, and the newest of each',
    [
      entry({}),
      entry({ time: '1700000005.500000000' }),
      entry({ reason: 'oops', backend: 'other' }),
      entry({ time: null, backend: 'no-time' }),
      entry({ reason: null, backend: 'told' }),
      entry({ reason: null, title: null, backend: 'rebooted' }),
      entry({ reason: 'shutdown', title: null, backend: 'stopped' }),
    ],
    {},
    [
      'pstorefs_archive_crashes{backend="guest",kind="panic"} 2',
      'pstorefs_archive_crashes{backend="other",kind="oops"} 1',
      'pstorefs_archive_crashes{backend="no-time",kind="panic"} 1',
      'pstorefs_archive_crashes{backend="told",kind="report"} 1',
      'pstorefs_archive_crashes{backend="rebooted",kind="none"} 1',
      'pstorefs_archive_crashes{backend="stopped",kind="shutdown"} 1',
      'pstorefs_archive_newest_crash_timestamp_seconds{backend="guest"} 1700000005',
      'pstorefs_archive_newest_crash_timestamp_seconds{backend="other"} 1700000000',
      'pstorefs_archive_newest_crash_timestamp_seconds{backend="no-time"} 1700009999',
      'pstorefs_archive_newest_crash_timestamp_seconds{backend="told"} 1700000000',
      'pstorefs_archive_run_timestamp_seconds 1700010000',
    ],
  ],
  [
    'what a run knows',
    [],
    {
      waiting: new Map([
        ['guest', 0],
        [hostile, 2],
      ]),
      unattached: ['gone'],
      unsent: new Map([['otlp', 3]]),
    },
    [
      'pstorefs_records_waiting{backend="guest"} 0',
      'pstorefs_records_waiting{backend="a\\"b\\\\c\\nd"} 2',
      'pstorefs_backend_unattached{backend="gone"} 1',
      'pstorefs_archive_unsent_crashes{channel="otlp"} 3',
      'pstorefs_archive_run_timestamp_seconds 1700010000',
    ],
  ],
]

t.test('the numbers', async t => {
  for (const [what, entries, more, samples] of cases)
    t.same(samplesIn(textOf(entries, more)), samples, what)
})

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })

/** What node_exporter serves of a folder. */
const exported = async (t: Test, home: string): Promise<string> => {
  const at = `127.0.0.1:${await freePort()}`
  const flags = ['--collector.disable-defaults', '--collector.textfile']
  const exporter = spawn(
    'prometheus-node-exporter',
    [...flags, `--collector.textfile.directory=${home}`, `--web.listen-address=${at}`],
    { stdio: 'ignore' },
  )
  t.teardown(() => exporter.kill('SIGKILL'))
  let text = ''
  const ask = async (): Promise<boolean> => {
    try {
      text = await (await fetch(`http://${at}/metrics`)).text()
      return true
    } catch {
      return false
    }
  }
  for (let n = 0; n < 300 && !(await ask()); n++)
    await new Promise(resolve => setTimeout(resolve, 100))
  return text
}

const noExporter =
  run('sh', ['-c', 'command -v prometheus-node-exporter || true']).stdout.length > 0
    ? false
    : 'no node_exporter: apt-get install prometheus-node-exporter'

t.test('node_exporter reads them', { skip: noExporter }, async t => {
  const home = folder(t)
  const [, , [, , more]] = cases as [unknown, unknown, (typeof cases)[number]]
  for (const entries of [[], [entry({})]])
    writeNumbers(`${home}/pstorefs.prom`, textOf(entries, more))
  t.same(fs.readdirSync(home), ['pstorefs.prom'], 'nothing else is left')
  t.equal(fs.statSync(`${home}/pstorefs.prom`).mode & 0o777, 0o644, 'others may read it')
  const text = await exported(t, home)
  for (const sample of samplesIn(textOf([entry({})], more)))
    t.ok(text.includes(sample.replace(/ 17000\d+$/, ' ')), sample)
  t.match(text, 'node_textfile_scrape_error 0')
})

t.test('others may read them, whatever the umask, as that of the unit', async t => {
  const file = `${folder(t)}/pstorefs.prom`
  const before = process.umask(0o077)
  t.teardown(() => process.umask(before))
  for (const text of ['old', 'new']) {
    writeNumbers(file, text)
    t.equal(fs.statSync(file).mode & 0o777, 0o644)
  }
})

t.test('a folder that is not there', async t => {
  const file = `${folder(t)}/none/pstorefs.prom`
  t.throws(() => writeNumbers(file, ''), { message: `${file}: no such file` })
})
