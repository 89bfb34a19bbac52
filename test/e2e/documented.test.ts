/** Every command line that README.md, the guides, the manual pages and the help show does what they say. */
import fs from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { commandNames } from '#src/cli/command-names.js'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import { loadFixture } from '../fixtures.js'
import { folder, program, pstorefs, run } from '../program.js'

const asRoot = process.getuid?.() !== 0 && 'only root can mount as the lines do'
const project = path.resolve(import.meta.dirname, '../..')

interface Line {
  /** Run before it, in the same shell. */
  before?: string
  /** Run after it; what it prints is matched. */
  after?: string
  prints?: RegExp
  /** Its exit status, where that is not 0. */
  status?: number
  /** Whose region.img it is, where that is not {@link makeRegion}'s. */
  fixture?: string
  /** It goes on until it is interrupted: which is done when this shell command succeeds. */
  endless?: string
}

/** Where a line is run that takes a machine of its own, or why it is not. */
const elsewhere: { [line: string]: string } = {
  'scripts/quickstart': 'the README’s first command',
  'scripts/test': 'what runs this',
  'npm install -g .': 'test/e2e/install.test.ts',
  'npm install pstorefs': 'test/e2e/npm.test.ts',
  'scripts/install': 'test/e2e/install.test.ts',
  'pstorefs ship /var/lib/crashes http://collector:4318': 'test/e2e/ship.test.ts',
  'pstorefs ship crashes http://collector:4318': 'test/e2e/fleet.test.ts',
  'pstorefs archive --config guests.toml --all-backends crashes --otlp http://collector:4318':
    'test/e2e/ship.test.ts',
  'pstorefs archive --config guests.toml --all-backends crashes --journal':
    'test/e2e/journal.test.ts',
  'pstorefs archive --all-backends /var/lib/crashes --watch --otlp http://collector:4318 --redact':
    'test/e2e/ship.test.ts',
  'systemctl enable pstorefs-tty@kdump.service': 'test/e2e/systemd.test.ts',
  'systemctl enable --now pstorefs.service': 'test/e2e/systemd.test.ts',
  'systemctl reload pstorefs.service': 'test/e2e/systemd.test.ts',
  'systemctl start pstorefs@guests.service': 'test/e2e/systemd.test.ts',
  'pstorefs tty --backend all --console --journal-tty': 'test/e2e/console-taken.test.ts',
  'pstorefs cat dmesg-ramoops-0.enc.z': 'test/cli/records.test.ts',
  'pstorefs ship /var/lib/crashes --redact': 'test/e2e/ship.test.ts',
  'pstorefs retention /dev/mem --mem-address 0x8000000 --mem-size 1M --record-size 64K':
    'test/e2e/retention.test.ts',
  'pstorefs mount /dev/pmem0 /sys/fs/pstore --attach boot --record-size 64K --console-size 256K --tty-size 64K --ecc 1':
    'test/e2e/attach-boot.test.ts',
  'mount -t fuse.pstorefs /dev/pmem0 /sys/fs/pstore -o attach=boot,record_size=64K,console_size=256K':
    'test/e2e/attach-boot.test.ts',
}

const options: AttachOptions = { record_size: 65536, console_size: 262144 }
const sizes = '--record-size 64K --console-size 256K'
const unmount = 'ls /mnt; umount /mnt'
const files = /console-ramoops-0\ndmesg-ramoops-0/
const listed = /^dmesg-ramoops-0 .*\nconsole-ramoops-0 /m
const dump = /^Panic#1 Part1\nwhy\n$/
/** A region that is made anew. */
const anew = (more = ''): string =>
  `rm region.img; pstorefs format region.img --mem-size 1M ${sizes} --ecc 1${more} > made`
const archived = 'pstorefs archive region.img crashes'
const archivedThere = 'pstorefs archive region.img /var/lib/crashes'
const crashed = /^1 .* ramoops +1x +panic, without a report$/m
const story = /^crash +\S*panic-\S+ in \S+$/m

/** The configured guest's region, which /etc/pstorefs.toml gives a tty zone. */
const withTty = `${anew(' --tty-size 64K')}; mv region.img guest.img`
const crosvm = (file: string): string =>
  `rm ${file}; pstorefs format ${file} --mem-size 1M --preset crosvm > made`
/** A memory's image, in which a region lies. */
const memory =
  'truncate -s 129M ram.img; at="--mem-address 0x8000000 --mem-size 1M --record-size 32K --ecc 1"; ' +
  'pstorefs format ram.img $at > made; echo why | pstorefs write dmesg ram.img $at'
/** An entry of Android's log. */
const android = String.raw`printf 'l\034\0\0\0\0\0\0\0\0\0\361\123\145\200\336\200\002\004Tag\0said\0'`

const lines: { [line: string]: Line } = {
  'pstorefs show region.img': { prints: story },
  'pstorefs show dump.bin.gz': { prints: story },
  'pstorefs show guest.img': { prints: story },
  'pstorefs show region.img --kallsyms System.map': { prints: story },
  'pstorefs show dump.bin --kallsyms System.map': { prints: story },
  'pstorefs list region.img': { prints: crashed },
  'pstorefs list guest1.img': { prints: crashed },
  'pstorefs list': { prints: /^1 .* guest1 /m },
  'pstorefs ls region.img': { prints: listed },
  'pstorefs cat region.img': { prints: dump },
  'pstorefs cat region.img console': { prints: /^console\n$/ },
  'pstorefs cat region.img tty': {
    before: `${anew(' --tty-size 64K')}; echo typed | pstorefs write tty region.img`,
    prints: /^typed\n\nECC/,
  },
  'pstorefs cat dump.bin': { prints: dump },
  'pstorefs cat dump.bin dmesg-ramoops-0 --record-size 64K': { prints: dump },
  "pstorefs cat dump.bin console 'dmesg*'": { prints: /^console\nPanic#1 Part1\nwhy\n$/ },
  'pstorefs cat dump.bin dmesg-ramoops-0.enc.z --salvage': {
    fixture: 'dmesg-enc-z',
    before: 'mv region.img dump.bin',
    prints: /^(Panic|Oops)#\d+ Part1\n/,
  },
  'pstorefs cat dump.bin pmsg-ramoops-0 --android --preset crosvm': {
    before: `${crosvm('dump.bin')}; ${android} | pstorefs write pmsg dump.bin --preset crosvm`,
    prints: / I Tag +: said$/m,
  },
  'pstorefs format --config /etc/pstorefs/kdump.toml --force kdump': {
    // As noise in memory.
    before:
      'head -c 1M /dev/urandom > region.img; mkdir -p /etc/pstorefs; ' +
      String.raw`printf '[backends.kdump]\nsource = "%s"\nrecord_size = "64K"\ntty_size = "256K"\n' ` +
      '"$PWD/region.img" > /etc/pstorefs/kdump.toml; ' +
      '! pstorefs tty --config /etc/pstorefs/kdump.toml --backend kdump -- echo none',
    after: 'pstorefs tty --config /etc/pstorefs/kdump.toml --backend kdump -- echo kept',
    prints: /^kept\r?$/m,
  },
  'pstorefs check dump.bin': {
    prints: /^[^:]*dump\.bin: \d+ sound/m,
  },
  'pstorefs console region.img': {
    before: anew(),
    endless: '{ sleep 1; true; }',
    after: 'pstorefs ls region.img; echo ended',
    prints: /^ended$/m,
  },
  'pstorefs console --backend all --new --level warn': {
    endless: '{ sleep 1; true; }',
    after: 'pstorefs ls guest1; echo ended',
    prints: /^ended$/m,
  },
  'pstorefs archive region.img /var/lib/crashes --record-size 64K': {
    after: 'cat /var/lib/crashes/*/summary.txt',
    prints: /^crash +panic 1\n/m,
  },
  'pstorefs archive --config guests.toml --all-backends /var/lib/crashes': {
    after: 'cat /var/lib/crashes/*/summary.txt',
    prints: /^backend +guest1\n/m,
  },
  'pstorefs erase dump.bin dmesg-ramoops-0 --record-size 64K': {
    after: 'pstorefs ls dump.bin',
    prints: /^console-ramoops-0 .*\n$/,
  },
  "pstorefs erase dump.bin 'dmesg*'": {
    after: 'pstorefs ls dump.bin',
    prints: /^dmesg-ramoops-0: erased\nconsole-ramoops-0 .*\n$/,
  },
  'pstorefs follow guest.img console --record-size 64K --console-size 256K': {
    endless: '[ -s printed ]',
    prints: /^console\n$/,
  },
  "pstorefs follow guest.img console --until 'login:' --timeout 60": {
    before: "echo 'login:' | pstorefs write console guest.img",
    prints: /^console\nlogin:\n$/,
  },
  'pstorefs follow --config guests.toml --backend all console': {
    endless: '[ -s printed ]',
    prints: /^console\n$/,
  },
  'pstorefs follow --android --no-history guest.img pmsg --preset crosvm': {
    before: crosvm('guest.img'),
    endless: `{ ${android} | pstorefs write pmsg guest.img --preset crosvm; [ -s printed ]; }`,
    prints: / I Tag +: said$/m,
  },
  'pstorefs format pstore.img --mem-size 1M --record-size 64K --console-size 256K': {
    after: 'pstorefs ls pstore.img; stat -c %s pstore.img',
    prints: /^--mem-size 1048576 .*\nramoops\.mem_address=ADDRESS .*\n1048576\n$/,
  },
  'pstorefs info dump.bin': { prints: /dmesg 0/ },
  'pstorefs info dump.bin --svg report.svg': {
    after: 'cat report.svg',
    prints: /^<svg [^]*dmesg/m,
  },
  'pstorefs ls dump.bin --record-size 64K --console-size 256K': { prints: listed },
  'pstorefs ls --config guests.toml --backend all': { prints: /^dmesg-guest1-0 /m },
  'pstorefs ls ram.img --mem-address 0x8000000 --mem-size 1M --record-size 32K --ecc 1': {
    before: memory,
    prints: /^dmesg-ramoops-0 /m,
  },
  'pstorefs probe dump.bin': { prints: /^region at 0x0, 1048576 bytes/ },
  'pstorefs probe ram.img --mem-address 0x8000000 --mem-size 1M': {
    before: memory,
    prints: /^region at 0x8000000, 1048576 bytes/,
  },
  'pstorefs mount dump.bin': {
    before: 'mount -t tmpfs none /run',
    after: 'ls /run/pstore/dump.bin; umount /run/pstore/dump.bin',
    prints: /^\/run\/pstore\/dump\.bin\nconsole-ramoops-0\ndmesg-ramoops-0\n/,
  },
  'pstorefs mount dump.bin /mnt --record-size 64K --console-size 256K': {
    after: unmount,
    prints: files,
  },
  'pstorefs mount -r guest.img /mnt --preset crosvm': {
    before: `${crosvm('guest.img')}; echo said | pstorefs write console guest.img --preset crosvm`,
    after: unmount,
    prints: /^console-ramoops-0\n/,
  },
  'pstorefs show': { prints: story },
  'pstorefs show /var/lib/crashes 3 --full': {
    before: [1, 2, 3]
      .map(n => `echo ${n} | pstorefs write dmesg region.img; ${archivedThere}`)
      .join(';'),
    prints: story,
  },
  'pstorefs show --timeline -T': { prints: /why/ },
  'pstorefs status': {
    before: 'pstorefs mount guest.img /mnt',
    after: unmount,
    status: 1,
    prints: /guest\.img/,
  },
  'pstorefs write dmesg region.img --reason oops < oops.txt': {
    before: `${anew()}; echo 'it was' > oops.txt`,
    after: 'pstorefs cat region.img',
    prints: /^Oops#1 Part1\nit was\n/,
  },
  'pstorefs write tty --backend all --config guests.toml < session.txt': {
    before: `${withTty}; cp config guests.toml; echo typed > session.txt`,
    after: 'pstorefs cat guest1 tty',
    prints: /^typed\n$/,
  },
  'pstorefs mount -r region.img /mnt': {
    after: `rm -f /mnt/console-ramoops-0 2>&1; ${unmount}`,
    prints: /Read-only file system\nconsole-ramoops-0/,
  },
  'pstorefs mount -r dump.bin /mnt': { after: unmount, prints: files },
  'mount -t fuse.pstorefs region.img /mnt -o record_size=64K,console_size=256K,ro': {
    after: `rm /mnt/console-ramoops-0 2>&1; ${unmount}`,
    prints: /Read-only file system\nconsole-ramoops-0/,
  },
  'mount -t fuse pstorefs#region.img /mnt -o record_size=64K,console_size=256K': {
    after: unmount,
    prints: files,
  },
  'umount /mnt': {
    before: 'pstorefs mount region.img /mnt',
    after: 'findmnt /mnt || echo gone',
    prints: /^gone\n$/,
  },
  'pstorefs mount --config guests.toml --backend all /mnt': {
    after: 'ls /mnt/guest1; umount /mnt',
    prints: /console-guest1-0/,
  },
  'pstorefs mount --config guests.toml --backend all /mnt -o ro,gid=4,umask=027,allow_other': {
    after: 'stat -c %g:%a /mnt/guest1; umount /mnt',
    prints: /^4:750$/m,
  },
  'pstorefs ls --config guests.toml guest1': { prints: /^dmesg-guest1-0 /m },
  'pstorefs list /mnt': {
    before: 'pstorefs mount --config guests.toml --backend all /mnt',
    after: 'umount /mnt',
    prints: /^1 .* 1x +panic, without a report$/m,
  },
  'pstorefs info region.img': { fixture: 'dmesg-enc-z', prints: /dmesg 0/ },
  'pstorefs check region.img': { fixture: 'dmesg-enc-z', status: 1, prints: /damaged/ },
  'pstorefs probe region.img': { prints: /^region at 0x0, 1048576 bytes/ },
  'pstorefs ls --all region.img': { fixture: 'dmesg-broken-header', prints: /dropped: / },
  'pstorefs retention region.img --mem-size 1M': {
    before: 'rm region.img; truncate -s 1M region.img',
    after: 'pstorefs retention region.img --mem-size 1M; echo $?',
    prints: /^0\n$/m,
  },
  [`pstorefs format region.img --mem-size 1M ${sizes} --ecc 1`]: {
    before: 'rm region.img',
    after: 'pstorefs ls region.img; stat -c %s region.img',
    prints: /^--mem-size 1048576 .*\nramoops\.mem_address=ADDRESS .*\n1048576\n$/,
  },
  [`pstorefs format region.img --mem-size 1M ${sizes} --tty-size 64K --ecc 1`]: {
    before: 'rm region.img',
    after: 'stat -c %s region.img',
    prints: /--tty-size 65536 [^]*\n1048576\n$/,
  },
  'dmesg | pstorefs write console region.img': {
    before: `${anew()}; dmesg() { echo said; }`,
    after: 'pstorefs cat region.img console',
    prints: /^said\n\nECC: No errors/,
  },
  'pstorefs follow guest.img console': { endless: '[ -s printed ]', prints: /^console\n/ },
  'pstorefs tty region.img -- kdump-config load': {
    before: anew(' --tty-size 64K'),
    after: 'pstorefs cat region.img tty',
    prints: /^loaded\r?\nloaded\r\n/,
  },
  'pstorefs tty region.img --tty-size 64K -- kdump-config load': {
    before: 'rm region.img; pstorefs format region.img --mem-size 1M --tty-size 64K > made',
    after: 'pstorefs cat region.img tty',
    prints: /^loaded\r?\nloaded\r\n$/,
  },
  'pstorefs tty --backend all --timestamps --strip -- bash': {
    before: `${withTty}; exec < /dev/null`,
    after: 'echo $?',
    prints: /0\n$/,
  },
  'pstorefs console region.img --new --level warn': {
    before: anew(),
    endless: '{ sleep 1; true; }',
    after: 'pstorefs ls region.img; echo ended',
    prints: /^ended$/m,
  },
  'pstorefs archive region.img /var/lib/crashes': {
    after: 'cat /var/lib/crashes/*/summary.txt',
    prints: /^crash +panic 1\n/m,
  },
  'pstorefs archive --keep guest.img /var/lib/crashes': {
    after: 'cat /var/lib/crashes/*/summary.txt; pstorefs ls guest.img',
    prints: /^crash +panic 1\n[^]*^dmesg-ramoops-0 /m,
  },
  'pstorefs archive --all-backends /var/lib/crashes --watch --keep-last 1000': {
    endless: '[ -n "$(ls /var/lib/crashes 2>/dev/null)" ]',
    after: 'cat /var/lib/crashes/*/summary.txt',
    prints: /^backend +guest1\n/m,
  },
  'pstorefs archive --config guests.toml --all-backends crashes --textfile pstorefs.prom': {
    after: 'cat pstorefs.prom',
    prints: /^pstorefs_archive_crashes\{backend="guest1",kind="panic"\} 1$/m,
  },
  'pstorefs archive --config guests.toml --all-backends crashes --watch --keep-last 1000': {
    endless: '[ -n "$(ls crashes 2>/dev/null)" ]',
    after: 'cat crashes/*/summary.txt',
    prints: /^backend +guest1\n/m,
  },
  'pstorefs list crashes --group': { before: archived, prints: crashed },
  'pstorefs list /var/lib/crashes': { before: archivedThere, prints: crashed },
  'pstorefs list /var/lib/crashes --since 7d --group': { before: archivedThere, prints: crashed },
  'pstorefs show crashes': { before: archived, prints: /^crash +\S+-panic-1 in crashes$/m },
  'pstorefs show /var/lib/crashes 2 --timeline': {
    before: `${archivedThere}; echo more | pstorefs write dmesg region.img; ${archivedThere}`,
    prints: /why/,
  },
}

const makeRegion = (file: string): void => {
  format(file, { ...options, mem_size: 1 << 20 })
  const backend = attach(file, options)
  writeDump(backend, Buffer.from('why\n'))
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.close()
}

/** A copy of /etc, for one line after the other: to copy it takes longer than most lines. */
let copied: string | undefined
const etc = (): string => {
  if (copied !== undefined) return copied
  copied = `${folder(t)}/etc`
  run('cp', ['-a', '/etc', copied])
  return copied
}

/** Run a line as its reader would: with the files that the text speaks of. */
const execute = (t: Test, line: string, how: Line) => {
  const home = folder(t)
  const { endless, fixture } = how
  // This machine's /mnt may be in use.
  const here = (text = ''): string =>
    text
      .replaceAll(/(?<![\w/])\/mnt/g, `${home}/mnt`)
      .replaceAll('/var/lib/crashes', `${home}/archive`)
  fs.mkdirSync(`${home}/mnt`)
  if (fixture) fs.writeFileSync(`${home}/region.img`, loadFixture(fixture).region())
  else makeRegion(`${home}/region.img`)
  for (const name of ['guest.img', 'guest1.img', 'dump.bin']) makeRegion(`${home}/${name}`)
  fs.writeFileSync(`${home}/dump.bin.gz`, gzipSync(fs.readFileSync(`${home}/dump.bin`)))
  fs.writeFileSync(`${home}/System.map`, 'ffffffff81000000 T _text\n')
  fs.writeFileSync(
    `${home}/guests.toml`,
    `[backends.guest1]\nsource = "${home}/guest.img"\nrecord_size = "64K"\nconsole_size = "256K"\ntty_size = 0\n`,
  )
  const config = fs
    .readFileSync(`${home}/guests.toml`, 'utf8')
    .replace('tty_size = 0', 'tty_size = "64K"')
  fs.mkdirSync(`${home}/bin`)
  fs.symlinkSync(program, `${home}/bin/pstorefs`)
  fs.writeFileSync(`${home}/bin/kdump-config`, '#!/bin/sh\necho loaded\n', { mode: 0o755 })
  const interrupted = `
    ${here(line)} > printed &
    for try in {1..1200}; do if ${here(endless)}; then break; fi; sleep 0.1; done
    kill -INT $!; wait $!; cat printed`
  fs.writeFileSync(`${home}/config`, config)
  const script = `
    unset NODE_OPTIONS
    # Nobody else's mounts, and programs run from here, whatever TMPDIR is.
    umount -a -l -t fuse.pstorefs
    mount --bind ${home} ${home} && mount -o remount,bind,exec ${home}
    cp ${home}/config ${etc()}/pstorefs.toml && mount --bind ${etc()} /etc
    mount --bind ${home}/bin /usr/local/sbin
    export PATH=/usr/local/sbin:$PATH HOME=${home}
    cd ${home}
    trap 'cd /; umount -l ${home}/mnt 2>/dev/null' EXIT
    ${here(how.before)}
    ${endless ? interrupted : here(line)}
    code=$?
    ${here(how.after)}
    exit $code`
  const { status, stdout, stderr } = run('unshare', ['--mount', 'bash', '-c', script])
  return { status, said: stdout.toString('latin1'), stderr }
}

/** The command lines of a text: of README.md's `sh` blocks, or of all blocks of a manual page. */
const linesOf = (file: string, language: string): string[] => {
  const text = fs.readFileSync(path.join(project, file), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^\`]+)\`\`\``, 'gm'))]
    .flatMap(([, block]) => block.trim().split('\n'))
    .map(line => line.replace(/ +# .*$/, '').trim())
    .filter(line => /^(pstorefs|mount|umount|systemctl|scripts|npm|dmesg) ?/.test(line))
}

const pages = (folder: string): string[] =>
  fs
    .readdirSync(path.join(project, folder))
    .filter(name => name.endsWith('.md'))
    .map(name => `${folder}/${name}`)

/** The examples of a command's help; what is said of each is two columns away at least. */
const examplesOf = (command: string): string[] => {
  const [, examples = ''] = pstorefs(['help', command])
    .stdout.toString()
    .split(/^Examples:$/m)
  return Array.from(examples.matchAll(/^ {2}(\S.*?)(?: {2,}.*)?$/gm), ([, line]) => line!)
}

const documented = new Set(
  [
    ...commandNames.flatMap(examplesOf),
    ...['README.md', ...pages('doc/guides')].flatMap(file => linesOf(file, 'sh')),
    ...pages('man').flatMap(file => linesOf(file, '')),
  ].filter(line => !/fuse\.pstorefs +\S*noauto|config=\/etc/.test(line)),
)

t.test('each is known here, and none is left over', async t => {
  t.ok(documented.size > 30)
  for (const line of documented) t.ok(line in lines || line in elsewhere, line)
  for (const line of [...Object.keys(lines), ...Object.keys(elsewhere)])
    t.ok(documented.has(line), `still documented: ${line}`)
})

for (const [line, how] of Object.entries(lines))
  t.test(line, { skip: asRoot }, async t => {
    const { status, said, stderr } = execute(t, line, how)
    // An endless one ends as its interruption lets it.
    if (!how.endless) t.equal(status, how.status ?? 0, stderr)
    t.match(said, how.prints ?? /^/, stderr)
  })

t.test('what a guide formats and records, its mount shows', { skip: asRoot }, async t => {
  const guide = linesOf('doc/guides/this-machine.md', 'sh')
  const made = guide.find(line => line.startsWith('pstorefs format '))!
  const mounted = guide
    .find(line => line.startsWith('pstorefs mount '))!
    .replace('/dev/pmem0', 'region.img')
    .replace('/sys/fs/pstore', '/mnt -o state=$PWD/state')
  const { said, stderr } = execute(t, mounted, {
    before: `rm region.img; ${made} >made; pstorefs tty region.img -- echo typed >shown`,
    after: 'cat /mnt/tty-ramoops-0; umount /mnt',
  })
  t.match(said, /^typed\r?\n/, stderr)
  t.equal(stderr, '')
})
