/** Crashes in the journal: by journald itself, and in the export format by systemd-journal-remote. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { Folder } from '#src/native/folder.js'
import { encodeFields, fieldsOf, messageId } from '#src/ship/journal.js'
import { waitingIn } from '#src/ship/queue.js'
import { folder, program, run, succeed } from '../program.js'
import { withJournald } from './journald.js'

/** journald and a /run without one need a mount namespace of the test's own. */
const asRoot = process.getuid?.() === 0 ? false : 'mounts in a namespace need root'

const options: AttachOptions = {
  record_size: 0x80000,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])

/** With it a text is longer than a datagram may be (net.core.wmem_max is 208 KiB). */
const long = Array.from(
  { length: 5000 },
  (_, i) => `[    1.000000] line ${i} ${'x'.repeat(60)}\n`,
).join('')
const report = '<0>[   12.000000] Kernel panic - not syncing: \x1b[31mwhy\x1b[0m\n'
const title = 'kernel panic: ^[[31mwhy^[[0m'

/** A region with a dump of each text, and the archive of that. */
const archived = (t: Test, texts: readonly string[]): string => {
  const region = `${folder(t)}/guest-7.img`
  const archive = `${folder(t)}/crashes`
  format(region, { ...options, mem_size: 0x200000 })
  const backend = attach(region, options)
  for (const [n, text] of texts.entries())
    backend.write({
      type: 'dmesg',
      bytes: Buffer.from(`Panic#${n + 1} Part1\n${text}`),
      time: { sec: 1_700_000_000n + BigInt(3600 * n), nsec: 0 },
    })
  backend.close()
  succeed(t, ['archive', region, archive, ...flags])
  return archive
}

interface Entry {
  [field: string]: string | number[] | undefined
}

const textOf = (field: Entry[string]): string =>
  Array.isArray(field) ? Buffer.from(field).toString() : (field ?? '')

const parse = (lines: string): Entry[] =>
  lines
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Entry)

const expected = (archive: string): object => ({
  MESSAGE_ID: messageId,
  PRIORITY: '2',
  SYSLOG_IDENTIFIER: 'pstorefs',
  PSTORE_TITLE: title,
  PSTORE_REASON: 'panic',
  PSTORE_BACKEND: 'ramoops',
  PSTORE_TIME: '1700000000.000000000',
  PSTORE_FOLDER: `${archive}/2023-11-14T22:13:20Z-panic-1`,
})

t.test('journald has each crash once', { skip: asRoot }, async t => {
  const archive = archived(t, [`${long}${report}`, report])
  const region = `${folder(t)}/empty.img`
  format(region, { ...options, mem_size: 0x200000 })
  const script = `
    archive() { "$node" "$program" archive "$@" --journal; }
    node=$1 program=$2 id=$3; shift 3
    archive "$@"; archive "$@"; entries $id
  `
  const { status, stdout, stderr } = withJournald(script, [
    process.execPath,
    program,
    messageId,
    region,
    path.relative(process.cwd(), archive),
    ...flags,
  ])
  t.equal(status, 0, stderr)
  const entries = parse(stdout.toString())
  t.equal(entries.length, 2, 'once, though archive ran twice')
  t.match(entries[0], expected(archive))
  t.equal(entries[0]!.PSTORE_FOLDER, `${archive}/2023-11-14T22:13:20Z-panic-1`)
  const [big, small] = entries.map(({ MESSAGE }) => textOf(MESSAGE))
  t.ok(big!.startsWith(`ramoops: ${title}\n[    1.000000] line 0 x`), big?.slice(0, 100))
  t.ok(big!.length > 250_000, 'what is too long for a datagram')
  t.equal(
    small,
    `ramoops: ${title}\n<0>[   12.000000] Kernel panic - not syncing: ^[[31mwhy^[[0m\n`,
  )
})

t.test('two processes at once write each crash once', { skip: asRoot }, async t => {
  const archive = archived(t, [report, report])
  const [first, second] = fs.readdirSync(archive).toSorted()
  const region = `${folder(t)}/empty.img`
  format(region, { ...options, mem_size: 0x200000 })
  // The other process is in the midst of the first, and done with it only once this one is at it, too.
  const script = `
    node=$1 program=$2 id=$3 crash=$4; shift 4
    exec 9<"$crash"
    flock 9
    "$node" "$program" archive "$@" --journal 9<&- &
    n=0
    until readlink /proc/$!/fd/* | grep -qx "$crash" || [ $n = 100 ]; do
      n=$((n + 1))
      sleep 0.1
    done
    entries $id
    : >"$crash/.sent-journal"
    exec 9<&-
    wait $!
    entries $id
  `
  const args = [process.execPath, program, messageId, `${archive}/${first}`]
  const { status, stdout, stderr } = withJournald(script, [...args, region, archive, ...flags])
  t.equal(status, 0, stderr)
  t.same(
    parse(stdout.toString()).map(({ PSTORE_FOLDER: of }) => of),
    [`${archive}/${second}`],
  )
})

t.test('a crash that the archive lost holds up no other', { skip: asRoot }, async t => {
  const archive = archived(t, [report, report])
  const [first, second] = fs.readdirSync(archive).toSorted()
  fs.rmSync(`${archive}/${first}/dmesg-ramoops-0`)
  const region = `${folder(t)}/empty.img`
  format(region, { ...options, mem_size: 0x200000 })
  const script = `
    node=$1 program=$2 id=$3; shift 3
    for n in 1 2; do "$node" "$program" archive "$@" --journal && exit 98; done
    entries $id
  `
  const args = [process.execPath, program, messageId, region, archive, ...flags]
  const { status, stdout, stderr } = withJournald(script, args)
  t.equal(status, 0, stderr)
  t.same(
    parse(stdout.toString()).map(({ PSTORE_FOLDER: of }) => of),
    [`${archive}/${second}`],
    'once, though archive ran twice',
  )
  t.match(stderr, new RegExp(`^pstorefs: ${archive}/${first}/dmesg-ramoops-0: no such file$`, 'm'))
})

t.test('no journald', { skip: asRoot }, async t => {
  const archive = archived(t, [report])
  const region = `${folder(t)}/empty.img`
  format(region, { ...options, mem_size: 0x200000 })
  const args = ['-m', 'sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh', process.execPath]
  const { status, stderr } = run('unshare', [
    ...args,
    program,
    'archive',
    region,
    archive,
    ...flags,
    '--journal',
  ])
  t.equal(status, 1)
  t.match(stderr, /journal\/socket: nobody listens there: the next run sends what is left\n/)
  const crash = `${archive}/${fs.readdirSync(archive).find(name => /^\d/.test(name))}`
  t.notOk(fs.existsSync(`${crash}/.sent-journal`))
})

t.test('a disk that takes no mark ends no watch', { skip: asRoot }, async t => {
  const archive = archived(t, [report])
  const region = `${folder(t)}/empty.img`
  format(region, { ...options, mem_size: 0x200000 })
  const script = `
    node=$1 program=$2 log=$3 archive=$4; shift 4
    mount -B "$archive" "$archive"; mount -o remount,bind,ro "$archive"
    "$node" "$program" archive "$@" --journal --watch 2>$log & watch=$!
    n=0
    until grep -q 'read-only file system' $log; do n=$((n + 1)); [ $n -le 100 ]; sleep 0.1; done
    sleep 0.5
    kill $watch
    wait $watch
  `
  const log = `${folder(t)}/log`
  const args = [process.execPath, program, log, archive, region, archive, ...flags]
  const { status, stderr } = withJournald(script, args)
  const said = fs.readFileSync(log, 'utf8')
  t.equal(status, 0, `${stderr}${said}`)
  t.ok(said.startsWith(`pstorefs: ${archive}/.sends-journal: read-only file system`), said)
})

const remote = '/lib/systemd/systemd-journal-remote'
const noRemote = fs.existsSync(remote) ? false : 'no systemd-journal-remote: apt-get install it'

t.test('systemd-journal-remote takes the same fields', { skip: noRemote }, async t => {
  const archive = archived(t, [`${long}${report}`, report])
  const opened = Folder.any(archive)
  const entries = [...waitingIn(opened, 'journal', why => t.fail(why))].map(({ crash, folder }) => {
    const fields = fieldsOf(archive, crash)
    folder.close()
    return fields
  })
  opened.close()
  const exported = entries.map(fields =>
    Buffer.concat([
      Buffer.from('__REALTIME_TIMESTAMP=1700000000000000\n_HOSTNAME=host\n'),
      encodeFields(fields),
      Buffer.from('\n'),
    ]),
  )
  const journal = `${folder(t)}/remote.journal`
  const taken = run(remote, [`--output=${journal}`, '-'], Buffer.concat(exported))
  t.equal(taken.status, 0, taken.stderr)
  const read = run('journalctl', ['--file', journal, '--all', '-o', 'json'])
  const found = parse(read.stdout.toString())
  t.equal(found.length, 2, read.stderr)
  t.match(found[0], expected(archive))
  for (const [i, fields] of entries.entries())
    for (const [name, value] of fields) t.equal(textOf(found[i]![name]), value, name)
})

t.test('the catalog tells of it', async t => {
  const root = folder(t)
  const catalog = `${root}/usr/lib/systemd/catalog`
  fs.mkdirSync(catalog, { recursive: true })
  fs.mkdirSync(`${root}/var/lib/systemd/catalog`, { recursive: true })
  const units = path.resolve(import.meta.dirname, '../../units')
  fs.copyFileSync(`${units}/pstorefs.catalog`, `${catalog}/pstorefs.catalog`)
  const updated = run('journalctl', [`--root=${root}`, '--update-catalog'])
  t.equal(updated.status, 0, updated.stderr)
  const { stdout, stderr } = run('journalctl', [`--root=${root}`, '--dump-catalog', messageId])
  t.match(stdout.toString(), /Subject: A kernel's last words were archived/, stderr)
})
