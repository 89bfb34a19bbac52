/** What crashed: reports of this project's own making, and real ones where they are there. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { firstReport } from '#src/crash/report.js'
import { contentOf, type Content } from '#src/pstore/content.js'
import { shared, skipWithoutShared } from '../shared.js'

const root = path.resolve(import.meta.dirname, '../..')

const reportOf = (text: string): ReturnType<typeof firstReport> =>
  firstReport(contentOf(Buffer.from(text)))

/** ABRT's: SHA-1 over names, a newline after each. */
const hashOf = (names: string): string =>
  createHash('sha1').update(names.replaceAll(' ', '\n').concat('\n')).digest('hex')

t.test('reports of all kinds and architectures', async t => {
  const folder = path.join(root, 'test/crash/reports')
  for (const name of fs.readdirSync(folder)) {
    const text = fs.readFileSync(path.join(folder, name), 'utf8')
    const end = text.indexOf('\n\n')
    const report = reportOf(text.slice(end + 2))
    for (const line of text.slice(0, end).split('\n')) {
      const key = line.slice(0, line.indexOf(':'))
      const value = line.slice(key.length + 2)
      if (key === 'none') {
        t.equal(report, null, `${name}: ${value}`)
        continue
      }
      if (!report) {
        t.fail(`${name}: no report`)
        break
      }
      const found: Record<string, unknown> = {
        ...report,
        pointer: report.pointer?.name ?? null,
        hash: report.fingerprint,
      }
      const absent = key === 'taint' ? '' : null
      const wanted = key === 'hash' ? hashOf(value) : value === '' ? absent : value
      const text = typeof found[key] === 'number' ? `${found[key]}` : found[key]
      t.equal(text, wanted, `${name}: ${key}`)
    }
  }
})

t.test('the same crash has the same title and fingerprint, wherever it was loaded', async t => {
  const crash = (n: number): string =>
    `[${n}.0] BUG: unable to handle page fault for address: ffff${n}\n` +
    `[${n}.0] CPU: ${n} PID: ${n} Comm: a${n} Not tainted 6.${n}.0 #1\n` +
    `[${n}.0] RIP: 0010:demo+0x${n}/0x90\n[${n}.0] Call Trace:\n[${n}.0]  caller.isra.${n}+0x${n}/0x90\n`
  const [a, b] = [reportOf(crash(1)), reportOf(crash(2))]
  t.equal(a?.title, b?.title)
  t.equal(a?.title, 'BUG: unable to handle kernel paging request in demo')
  t.not(a?.pid, b?.pid)
})

t.test('what a program wrote to the log is no report', async t => {
  const own = '[   12.500000] BUG: kernel NULL pointer dereference, address: 0\n'
  for (const said of [
    '[    1.000000] myapp[12]: BUG: unable to connect',
    '[    1.000000] systemd[1]: Started Look for the last Kernel panic - not syncing.',
    'Nov 23 03:27:57 host kdump-save[77]: kernel BUG at fs/x.c was found',
    '<30>[    1.000000] x[12]: WARNING: at last',
  ])
    t.match(reportOf(`${said}\n${own}`), { uptime: 12.5, kind: 'oops' }, said)
  for (const kernels of [
    'Nov 23 03:27:57 host kernel[0]: kernel BUG at fs/x.c:1!',
    '[    1.000000] login[12]: hello[    1.100000] kernel BUG at fs/x.c:1!',
    '[    1.000000] Oops[#1]: kernel BUG at fs/x.c:1!',
  ])
    t.match(reportOf(kernels), { title: 'kernel BUG' }, kernels)
})

t.test('behind what draws on its line', async t => {
  const line = 'Kernel panic - not syncing: why'
  const report = reportOf(`Loading 10%\rLoading 20%\r[   12.500000] ${line}\r\n`)
  t.same([report?.headline, report?.uptime, report?.offset], [line, 12.5, 24])
})

t.test("a panic's line that is cut", async t => {
  for (const cut of ['not', 'not syn', 'not syncing:', 'not syncing: '])
    t.equal(reportOf(`[    1.000000] Kernel panic - ${cut}`)?.title, 'kernel panic', cut)
  t.equal(reportOf('Kernel panic - not syncing: w')?.title, 'kernel panic: w')
})

t.test('a report is found wherever pieces of the text end', async t => {
  const line = '[    1.000000] Kernel panic - not syncing: why\n'
  for (const before of [0, 1, 65_500, 65_530, 65_536, 131_060, 200_000])
    t.equal(reportOf(`${'x'.repeat(before)}\n${line}`)?.title, 'kernel panic: why', `${before}`)
  const long = reportOf(`${'x'.repeat(2000)} BUG: one [    1.000000] after${'y'.repeat(1e6)}`)
  t.equal(long?.kind, 'bug', 'a line that does not end')
  t.ok(long && long.headline.length <= 2048)
})

t.test('whatever the text is, each of its bytes is read at most twice', async t => {
  const size = 1 << 24
  for (const filling of ['\n', 'BUG', 'WARNING: 1\n', 'blocked in a ', '[#', 'refcount_t: aaaa']) {
    const bytes = Buffer.alloc(size, filling)
    let read = 0
    const counted: Content = {
      slice: (offset, length) => {
        const piece = bytes.subarray(offset, offset + length)
        read += piece.length
        return piece
      },
      all: () => bytes,
      held: [bytes],
    }
    t.equal(firstReport(counted), null, filling)
    t.ok(read <= 2 * size, `${filling}: ${read}`)
  }
  let read = 0
  const endless: Content = {
    slice: (_, length) => {
      read += length
      return Buffer.alloc(length, 'BUG: x\n f+0x1/0x2\n')
    },
    all: () => Buffer.alloc(0),
    held: [],
  }
  const report = firstReport(endless)
  t.ok(report && report.traces.flatMap(({ frames }) => frames).length <= 4200, 'frames are bounded')
  t.ok(read < 1 << 20, 'of a report the start is read')
})

t.test('real reports', { skip: skipWithoutShared('cases') }, async t => {
  const tar = shared('cases', 'kernel-reports.tar.xz')
  const { stdout } = spawnSync(process.execPath, [path.join(root, 'scripts/titles.mjs'), tar], {
    encoding: 'utf8',
  })
  const [right, agree, share] = [...stdout.matchAll(/\((\d+\.\d+) %\)/g)].map(([, n]) => Number(n))
  t.ok(right !== undefined && right >= 94, stdout)
  t.ok(agree !== undefined && agree >= 95, stdout)
  t.ok(share !== undefined && share < 1, stdout)
})
