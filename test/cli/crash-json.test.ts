/** The members that `list --json` and `show --json` have of a crash, wherever it lies. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { folder, succeed } from '../program.js'

const oops = (name: string): string =>
  [
    'Oops#1 Part1',
    '<1>[   12.000001] BUG: kernel NULL pointer dereference, address: 0000000000000010',
    '<4>[   12.100000] CPU: 3 PID: 77 Comm: sh Tainted: G        W          6.1.0-9-amd64 #1',
    '<4>[   12.150000] Hardware name: A board',
    `<4>[   12.200000] RIP: 0010:${name}+0x1/0x20`,
    '<4>[   12.300000] Call Trace:',
    '<4>[   12.400000]  caller_two+0x3/0x40',
    '<4>[   12.500000] ---[ end trace 0000000000000000 ]---',
    '',
  ].join('\n')

/** The folder of copies of three dumps, of which the newest and the oldest are the same. */
const made = (t: Test): string => {
  const home = folder(t)
  for (const [n, text] of [
    oops('guilty_one'),
    'Panic#1 Part1\n<6>[    5.000000] only a log\n',
    oops('guilty_one'),
  ].entries()) {
    fs.writeFileSync(`${home}/dmesg-ramoops-${n}`, text)
    fs.utimesSync(`${home}/dmesg-ramoops-${n}`, 1, 1_700_000_000 + 3600 * n)
  }
  return home
}

const read = (t: Test, ...args: string[]): unknown => JSON.parse(succeed(t, args).toString())

const known = {
  kind: 'oops',
  title: 'BUG: unable to handle kernel NULL pointer dereference in guilty_one',
  count: 2,
  kernel: '6.1.0-9-amd64',
}
const newest = { id: '2023-11-15T00:13:20Z-oops-1', time: '1700007200.000000000' }
const unknown = { kind: null, title: null, fingerprint: null, count: 1, kernel: null }

t.test('of copies of records', async t => {
  const home = made(t)
  t.match(read(t, 'list', '--json', home), [
    { ...known, ...newest, where: home, backend: 'ramoops', fingerprint: /^[\da-f]{40}$/ },
    { ...unknown, id: '2023-11-14T23:13:20Z-panic-1' },
    { ...known, id: '2023-11-14T22:13:20Z-oops-1' },
  ])
  t.match(read(t, 'show', '--json', home), {
    ...known,
    ...newest,
    where: home,
    uptime: 12.000001,
    cpu: 3,
    comm: 'sh',
    pid: 77,
    hardware: 'A board',
    taint: /^G +W$/,
    trace: ['guilty_one', 'caller_two'],
    parts: 1,
    missing: null,
    text: /^\[ {3}12\.000001\] BUG: [^]*\n\[ {3}12\.500000\] ---\[ end trace 0{16} \]---$/,
  })
  t.match(read(t, 'show', '--json', home, '2'), {
    ...unknown,
    uptime: null,
    cpu: null,
    comm: null,
    pid: null,
    hardware: null,
    taint: null,
    trace: [],
    parts: 1,
    text: '[    5.000000] only a log',
  })
})

t.test('of an archive, also as an earlier version wrote it', async t => {
  const archive = `${folder(t)}/crashes`
  succeed(t, ['archive', '--keep', made(t), archive])
  t.match(read(t, 'list', '--json', archive), [known, unknown, known])
  for (const name of fs.readdirSync(archive)) {
    const file = `${archive}/${name}/records.json`
    if (!fs.existsSync(file)) continue
    const { kind: _, ...others } = JSON.parse(fs.readFileSync(file, 'utf8')) as { kind: unknown }
    fs.writeFileSync(file, JSON.stringify(others))
  }
  const older = { ...known, kind: null }
  t.match(read(t, 'list', '--json', archive), [older, unknown, older])
  t.match(read(t, 'show', '--json', archive), { ...known, kind: 'oops' }, 'its text tells')
})
