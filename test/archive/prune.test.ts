/** Pruning: an archive stays within bounds, and loses nothing that is still needed. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import { entriesOf } from '#src/archive/entries.js'
import { ArchiveFolder } from '#src/archive/folder.js'
import type { Manifest } from '#src/archive/manifest.js'
import { Pruner, type Bounds } from '#src/archive/prune.js'
import { sendFrom } from '#src/cli/options/sending.js'
import { Folder } from '#src/native/folder.js'
import { waitingIn } from '#src/ship/queue.js'
import { folder, program, pstorefs, pstorefsRefused, run, succeed, until } from '../program.js'
import { crashesIn, watch } from './watching.js'

const options: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])

const makeRegion = (t: Test): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...options, mem_size: 65536 })
  return region
}

const crash = (region: string, text: string): void => {
  const backend = attach(region, options)
  writeDump(backend, Buffer.from(`${text}\n`))
  backend.close()
}

/** An archive of crashes that say 0, 1, 2, …; gives their names in that order. */
const makeArchive = (
  t: Test,
  count: number,
): { archive: string; names: string[]; region: string } => {
  const region = makeRegion(t)
  const archive = `${folder(t)}/crashes`
  const names: string[] = []
  for (let n = 0; n < count; n++) {
    crash(region, `crash ${n}`)
    succeed(t, ['archive', region, archive, ...flags])
    names.push(crashesIn(archive).find(name => !names.includes(name))!)
  }
  return { archive, names, region }
}

/** Make a crash as old as wanted. */
const age = (archive: string, name: string, seconds: number): void => {
  const file = `${archive}/${name}/records.json`
  const manifest = JSON.parse(fs.readFileSync(file, 'utf8')) as Pick<Manifest, 'archived' | 'order'>
  const at = Math.floor(Date.now() / 1000 - seconds)
  manifest.archived = `${at}.000000000`
  manifest.order = at * 1000
  fs.writeFileSync(file, JSON.stringify(manifest))
}

const prune = (t: Test, region: string, archive: string, ...bounds: string[]): string =>
  succeed(t, ['archive', region, archive, ...flags, ...bounds]).toString()

t.test('the oldest go, a line for each', async t => {
  const { archive, names, region } = makeArchive(t, 5)
  fs.mkdirSync(`${archive}/of another`)
  const said = prune(t, region, archive, '--keep-last', '3')
  t.equal(
    said,
    names
      .slice(0, 2)
      .map(name => `${archive}/${name}: pruned: there are 3 newer ones\n`)
      .join(''),
  )
  t.same(crashesIn(archive), [...names.slice(2), 'of another'].toSorted())
  t.equal(prune(t, region, archive, '--keep-last', '3'), '')
  // Each crash takes one and a half KiB or so.
  const sizeOf = (name: string): number =>
    fs
      .readdirSync(`${archive}/${name}`)
      .reduce((sum, file) => sum + fs.statSync(`${archive}/${name}/${file}`).size, 0)
  const two = sizeOf(names[3]!) + sizeOf(names[4]!)
  t.match(
    prune(t, region, archive, '--max-size', String(two)),
    `${names[2]}: pruned: with it, there are more than ${two} bytes`,
  )
  t.same(crashesIn(archive), [...names.slice(3), 'of another'].toSorted())
  age(archive, names[3]!, 3 * 86_400)
  t.match(
    prune(t, region, archive, '--max-age', '2d'),
    new RegExp(`${names[3]}: pruned: it was archived before `),
  )
  t.match(prune(t, region, archive, '--max-size', '1'), /^$/, 'the last one stays')
  t.same(crashesIn(archive), [names[4], 'of another'].toSorted())
})

t.test('what a guest says of the time does not count', async t => {
  const { archive, names, region } = makeArchive(t, 2)
  const backend = attach(region, options)
  const time = { sec: 10n ** 9n, nsec: 0 }
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\nin 2001\n'), time })
  backend.close()
  const said = prune(t, region, archive, '--keep-last', '1')
  t.match(crashesIn(archive), [/^2001-/])
  for (const name of names) t.match(said, `${name}: pruned`)
})

t.test('a clock that is wrong for a while makes no crash older or younger than it is', t => {
  const { archive, names, region } = makeArchive(t, 2)
  /** Archive a crash by a clock that says so, and prune. */
  const archiveAt = (seconds: number, text: string, ...bounds: string[]): string => {
    crash(region, text)
    const before = crashesIn(archive)
    const clock = `--import=data:text/javascript,Date.now=()=>${seconds * 1000}`
    const args = [clock, program, 'archive', region, archive, ...flags, ...bounds]
    const { status, stderr } = run(process.execPath, args)
    t.equal(status, 0, stderr)
    return crashesIn(archive).find(name => !before.includes(name)) ?? 'none'
  }
  const [, second] = names
  // An earlier version did not note the order.
  const file = `${archive}/${second}/records.json`
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/"order": \d+,/, ''))
  // A board that has no clock of its own boots in 1970.
  const third = archiveAt(60, 'in 1970', '--keep-last', '2')
  t.same(crashesIn(archive), [second, third].toSorted())
  const fourth = archiveAt(61, 'once more', '--keep-last', '2', '--max-age', '1d')
  t.same(crashesIn(archive), [third, fourth].toSorted())
  t.equal(prune(t, region, archive, '--max-age', '1d'), '', 'they came after what is of today')
  const ahead = archiveAt(4e9, 'in 2096')
  const last = archiveAt(Math.floor(Date.now() / 1000) - 3 * 86_400, 'three days ago')
  t.match(prune(t, region, archive, '--max-age', '2d'), `${last}: pruned: it was archived before `)
  t.same(crashesIn(archive), [third, fourth, ahead].toSorted())
  t.end()
})

t.test('what is pending, kept, or was not sent stays', async t => {
  const { archive, names, region } = makeArchive(t, 4)
  const [pending, kept, unsent] = names
  fs.renameSync(`${archive}/${pending}`, `${archive}/.pending-${pending}`)
  const file = `${archive}/${kept}/records.json`
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace('"kept": false', '"kept": true'))
  // The archive sends to the journal, and has sent all but one.
  fs.writeFileSync(`${archive}/.sends-journal`, '')
  for (const name of names.filter(name => name !== pending && name !== unsent))
    fs.writeFileSync(`${archive}/${name}/.sent-journal`, '')
  const other = makeRegion(t)
  crash(other, 'the last one')
  const bounds = ['--keep-last', '1', '--max-age', '1s', '--max-size', '1']
  const { status, stderr } = pstorefs(['archive', other, archive, ...flags, ...bounds])
  t.equal(status, 0)
  const why = `not sent yet (to send none any more, remove ${archive}/.sends-*)`
  t.equal(stderr, `pstorefs: ${archive}: 1 out of bounds stays: ${why}\n`)
  const left = fs.readdirSync(archive)
  t.ok(left.includes(`.pending-${pending}`), 'pending')
  t.ok(left.includes(kept!), 'kept')
  t.ok(left.includes(unsent!), 'not sent')
  t.notOk(left.includes(names[3]!), 'the fourth is sent')
  fs.writeFileSync(`${archive}/${unsent}/.sent-journal`, '')
  t.match(prune(t, region, archive, '--keep-last', '1'), `${unsent}: pruned`)
})

t.test('a kill at any moment leaves a crash whole, or what the next run removes', async t => {
  const { archive, names, region } = makeArchive(t, 3)
  // As a kill leaves it amid its removal.
  fs.renameSync(`${archive}/${names[0]}`, `${archive}/.partial-${names[0]}`)
  fs.unlinkSync(`${archive}/.partial-${names[0]}/records.json`)
  t.equal(prune(t, region, archive, '--keep-last', '2'), '')
  t.same(fs.readdirSync(archive).toSorted(), names.slice(1))
})

t.test('some at a time, and each looked at once', async t => {
  const { archive, names } = makeArchive(t, 6)
  const bounds: Bounds = { keepLast: 1, maxSize: undefined, maxAge: undefined }
  const pruner = new Pruner(bounds, () => true)
  const gone: string[] = []
  const some = (): boolean => {
    const into = new ArchiveFolder(archive, why => t.fail(why))
    try {
      return pruner.prune(
        into,
        folder => gone.push(folder),
        why => t.fail(why),
        2,
      )
    } finally {
      into.close()
    }
  }
  t.same([some(), some(), some()], [true, true, false])
  t.same(
    gone,
    names.slice(0, 5).map(name => `${archive}/${name}`),
  )
  t.same(crashesIn(archive), names.slice(5))
})

t.test('who reads an archive is told nothing of what is pruned meanwhile', t => {
  const { archive, names } = makeArchive(t, 3)
  const opened = Folder.any(archive)
  t.teardown(() => opened.close())
  const fail = (why: string): unknown => t.fail(why)
  const entries = entriesOf(opened, fail)
  const waiting = waitingIn(opened, 'otlp', fail)
  t.equal(entries.next().value?.folder, names[0])
  waiting.next().value?.folder.close()
  fs.rmSync(`${archive}/${names[1]}`, { recursive: true })
  t.equal(entries.next().value?.folder, names[2])
  const last = waiting.next().value
  last?.folder.close()
  t.equal(last?.crash.name, names[2])
  t.end()
})

t.test('a folder whose name is no UTF-8 is told, not taken for one that is gone', t => {
  const { archive, names } = makeArchive(t, 2)
  const odd = Buffer.concat([Buffer.from(`${archive}/`), Buffer.from([0x62, 0xff])])
  fs.renameSync(`${archive}/${names[0]}`, odd)
  const opened = Folder.any(archive)
  t.teardown(() => opened.close())
  const told: string[] = []
  t.equal([...entriesOf(opened, why => told.push(why))].length, 1)
  const waiting = [...waitingIn(opened, 'otlp', why => told.push(why))]
  for (const { folder } of waiting) folder.close()
  t.equal(waiting.length, 1)
  const why = 'no such file; if its name is no UTF-8, rename it or give a link to it'
  t.same(told, [`${archive}/b\ufffd: ${why}`, `${archive}/b\ufffd: ${why}`])
  fs.renameSync(odd, `${archive}/${names[0]}`)
  t.end()
})

t.test('a crash on a bad sector keeps no other from being pruned', t => {
  const { archive, names, region } = makeArchive(t, 3)
  const bad = `${archive}/${names[1]}`
  const args = ['archive', region, archive, ...flags, '--max-size', '1']
  const outcome = pstorefsRefused(bad, ['getdents64:error=EIO'], args)
  t.match(outcome, { status: 0, stderr: /^pstorefs: \S+: nothing new to archive\n$/ })
  t.same(crashesIn(archive), names.slice(1))
  t.end()
})

t.test('while watching', async t => {
  const { archive, names, region } = makeArchive(t, 3)
  const watcher = watch(t, [region, archive, ...flags, '--keep-last', '2'])
  t.ok(await until(() => !crashesIn(archive).includes(names[0]!)), 'at the start')
  crash(region, 'one more')
  t.ok(await until(() => watcher.stdout().includes(`${names[1]}: pruned: `)))
  t.equal(crashesIn(archive).length, 2)
  t.equal(await watcher.end(), 0)
})

t.test('what cannot be done makes no archive, and takes nothing', async t => {
  const region = makeRegion(t)
  crash(region, 'stays')
  const archive = `${folder(t)}/crashes`
  const cases: [args: string[], said: string][] = [
    [['/no/such/region', archive, '--keep-last', '1'], '/no/such/region: no such file'],
    [['--config', '/no/such.toml', '--all-backends', archive, '--watch'], '/no/such.toml: '],
    [[region, archive, ...flags, '--textfile', '/no/such/x.prom'], '/no/such/x.prom: no such file'],
    [[region, archive, ...flags, '--textfile', region], `--textfile: ${region}: holds something `],
    [[region, archive, ...flags, '--textfile', '/tmp'], "--textfile: /tmp: must be a file's path"],
    [[region, archive, ...flags, '--textfile', ''], "--textfile: '': must be a file's path"],
  ]
  for (const [args, said] of cases) {
    const { status, stderr } = pstorefs(['archive', ...args])
    t.equal(status, 1, args.join(' '))
    t.ok(stderr.startsWith(`pstorefs: ${said}`), stderr)
    t.equal(stderr.split('\n').length, 2, 'one line')
    t.notOk(fs.existsSync(archive), args.join(' '))
  }
  t.match(succeed(t, ['ls', region, ...flags]).toString(), /^dmesg-ramoops-0 /)
})

t.test('one step of a run that fails hides no other, and keeps none from being taken', t => {
  const { archive, names } = makeArchive(t, 2)
  const home = folder(t)
  const textfile = `${home}/x.prom`
  // In the way of what is written first.
  fs.mkdirSync(`${home}/.x.prom.new`)
  const args = ['/no/such/region', archive, '--keep-last', '1', '--textfile', textfile]
  const { status, stdout, stderr } = pstorefs(['archive', ...args])
  t.equal(status, 1)
  const lines = stderr.split('\n')
  t.match(lines, [/^pstorefs: \/no\/such\/region: no such file/, /^pstorefs: .*x\.prom: /, ''])
  t.match(stdout.toString(), `${names[0]}: pruned: `)
  t.same(crashesIn(archive), names.slice(1))
  // Of one trouble of all steps there is one line.
  fs.chmodSync(archive, 0o777)
  const refused = pstorefs(['archive', ...args, '--journal'])
  t.equal(refused.status, 1)
  t.equal(refused.stderr.match(/: not used: /g)?.length, 1, refused.stderr)
  t.end()
})

t.test('all ways by which an archive sends are known before one is gone', async t => {
  const archive = `${folder(t)}/crashes`
  fs.mkdirSync(archive, { mode: 0o700 })
  const ways = { journal: true, otlp: 'http://127.0.0.1:9', redact: false, textfile: undefined }
  const sent = sendFrom(archive, ways)
  // One that is slow, or down, keeps the other waiting: nothing may be pruned meanwhile.
  t.same(fs.readdirSync(archive).toSorted(), ['.sends-journal', '.sends-otlp'])
  t.same(await sent, { isAll: true, after: null }, 'there is nothing to send')
})
