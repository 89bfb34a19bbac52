/** Every command line that README.md, the guides and the manual pages show does what they say. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import { loadFixture } from '../fixtures.js'
import { folder, program, run } from '../program.js'

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
  'pstorefs completion >> ~/.bashrc': 'test/e2e/install.test.ts',
  'scripts/install': 'test/e2e/install.test.ts',
  'scripts/uninstall': 'test/e2e/install.test.ts',
  'pstorefs ship /var/lib/crashes http://collector:4318': 'test/e2e/ship.test.ts',
  'pstorefs ship crashes http://collector:4318': 'test/e2e/fleet.test.ts',
  'pstorefs archive --config guests.toml --all-backends crashes --otlp http://collector:4318':
    'test/e2e/ship.test.ts',
  'pstorefs archive --config guests.toml --all-backends crashes --journal':
    'test/e2e/journal.test.ts',
  'systemctl enable --now pstorefs.service': 'test/e2e/systemd.test.ts',
  'systemctl reload pstorefs.service': 'test/e2e/systemd.test.ts',
  'systemctl start pstorefs@guests.service': 'test/e2e/systemd.test.ts',
  'pstorefs tty --backend all --console --journal-tty': 'test/e2e/console-taken.test.ts',
  'pstorefs mount /dev/pmem0 /sys/fs/pstore --attach boot --record-size 64K --console-size 256K':
    'test/e2e/attach-boot.test.ts',
  'mount -t fuse.pstorefs /dev/pmem0 /sys/fs/pstore -o attach=boot,record_size=64K,console_size=256K':
    'test/e2e/attach-boot.test.ts',
}

const options: AttachOptions = { record_size: 65536, console_size: 262144 }
const sizes = '--record-size 64K --console-size 256K'
const unmount = 'ls /mnt; umount /mnt'
const files = /console-ramoops-0\ndmesg-ramoops-0/
/** The same region, read as the line before wrote it. */
const cat = (name: string, more = ''): string => `pstorefs cat region.img ${name} ${sizes}${more}`

const lines: { [line: string]: Line } = {
  [`pstorefs ls region.img ${sizes}`]: { prints: /^dmesg-ramoops-0 .*\nconsole-ramoops-0 /m },
  [`pstorefs cat region.img dmesg-ramoops-0 ${sizes}`]: { prints: /^Panic#1 Part1\nwhy\n$/ },
  [`pstorefs mount region.img /mnt ${sizes}`]: { after: unmount, prints: files },
  'mount -t fuse.pstorefs region.img /mnt -o record_size=64K,console_size=256K,ro': {
    after: `rm /mnt/console-ramoops-0 2>&1; ${unmount}`,
    prints: /Read-only file system\nconsole-ramoops-0/,
  },
  'mount -t fuse pstorefs#region.img /mnt -o record_size=64K,console_size=256K': {
    after: unmount,
    prints: files,
  },
  'pstorefs info region.img': { fixture: 'dmesg-enc-z', prints: /dmesg 0/ },
  'pstorefs check region.img': { fixture: 'dmesg-enc-z', status: 1, prints: /damaged/ },
  'pstorefs ls --all region.img': { fixture: 'dmesg-broken-header', prints: /dropped: / },
  'pstorefs cat --raw region.img dmesg-ramoops-1': { fixture: 'dmesg-enc-z', prints: /^====\d+/ },
  'pstorefs cat --salvage region.img dmesg-ramoops-0.enc.z': {
    fixture: 'dmesg-enc-z',
    prints: /\[ +\d+\.\d+\]/,
  },
  'mount -t fuse.pstorefs region.img /mnt -o ro,nodev,noexec,nosuid,record_size=64K,console_size=256K':
    { after: `findmnt -no OPTIONS /mnt; ${unmount}`, prints: /ro,nosuid,nodev,noexec/ },
  "mount -t fuse 'pstorefs#region.img' /mnt -o uid=1000,gid=1000,umask=037,allow_other": {
    after: `stat -c %u /mnt; ${unmount}`,
    prints: /^1000\n/m,
  },
  'umount /mnt': {
    before: `pstorefs mount region.img /mnt ${sizes}`,
    after: 'findmnt /mnt || echo gone',
    prints: /^gone\n$/,
  },
  'pstorefs mount --config guests.toml --backend all /mnt': {
    after: 'ls /mnt/guest1; umount /mnt',
    prints: /console-guest1-0/,
  },
  'pstorefs ls --config guests.toml guest1': { prints: /^dmesg-guest1-0 /m },
  [`pstorefs format region.img --mem-size 1M ${sizes} --ecc 1`]: {
    before: 'rm region.img',
    after: `pstorefs ls region.img ${sizes} --ecc 1; stat -c %s region.img`,
    prints: /^--mem-size 1048576 .*\nramoops\.mem_address=ADDRESS .*\n1048576\n$/,
  },
  [`dmesg | pstorefs write console region.img ${sizes} --ecc 1`]: {
    before: `rm region.img; pstorefs format region.img --mem-size 1M ${sizes} --ecc 1 > made; dmesg() { echo said; }`,
    after: cat('console-ramoops-0', ' --ecc 1'),
    prints: /^said\n\nECC: No errors/,
  },
  [`pstorefs write dmesg region.img --reason oops ${sizes} --ecc 1 < oops.txt`]: {
    before: `echo bad > oops.txt; rm region.img; pstorefs format region.img --mem-size 1M ${sizes} --ecc 1 > made`,
    after: cat('dmesg-ramoops-0', ' --ecc 1'),
    prints: /^Oops#1 Part1\nbad\n/,
  },
  [`pstorefs erase region.img dmesg-ramoops-0 ${sizes} --ecc 1`]: {
    before:
      `rm region.img; pstorefs format region.img --mem-size 1M ${sizes} --ecc 1 > made; ` +
      `echo bad | pstorefs write dmesg region.img ${sizes} --ecc 1`,
    after: `pstorefs ls region.img ${sizes} --ecc 1; echo end`,
    prints: /^end\n$/,
  },
  'pstorefs tty region.img --tty-size 64K -- kdump-config load': {
    before: 'rm region.img; pstorefs format region.img --mem-size 1M --tty-size 64K > made',
    after: 'pstorefs cat region.img tty-ramoops-0 --tty-size 64K',
    prints: /^loaded\r?\nloaded\r\n$/,
  },
  'pstorefs tty --backend all --timestamps --strip -- bash': {
    before: 'exec < /dev/null',
    after: 'echo $?',
    prints: /0\n$/,
  },
  'pstorefs console region.img --console-size 256K': {
    before: 'rm region.img; pstorefs format region.img --mem-size 1M --console-size 256K > made',
    endless: '[ -n "$(pstorefs ls region.img --console-size 256K)" ]',
    after: 'pstorefs cat region.img console-ramoops-0 --console-size 256K',
    prints: /\[ *\d+\.\d+\] /,
  },
  [`pstorefs follow guest.img console-ramoops-0 ${sizes}`]: {
    endless: '[ -s printed ]',
    prints: /^console\n/,
  },
  'pstorefs follow --android --no-history guest.img pmsg-ramoops-0 --preset crosvm': {
    before: 'rm guest.img; pstorefs format guest.img --mem-size 64K --preset crosvm > made',
    endless:
      "printf 'l\\35\\0%015d\\4Tag\\0hello\\0' 0 | tr 0 '\\0' | " +
      'pstorefs write pmsg guest.img --preset crosvm; [ -s printed ]',
    prints: / I Tag {5}: hello\n/,
  },
  [`pstorefs archive region.img crashes ${sizes}`]: {
    after: 'cat crashes/*/summary.txt',
    prints: /^crash +panic 1\n/m,
  },
  'pstorefs archive --config guests.toml --all-backends crashes': {
    after: 'cat crashes/*/summary.txt',
    prints: /^backend +guest1\n/m,
  },
  'pstorefs archive --config guests.toml --all-backends crashes --textfile pstorefs.prom': {
    after: 'cat pstorefs.prom',
    prints: /^pstorefs_archive_crashes\{backend="guest1",kind="panic"\} 1$/m,
  },
  'pstorefs list crashes --group': {
    before: `pstorefs archive region.img crashes ${sizes}`,
    prints: /^1 .* ramoops +1x +panic, without a report$/m,
  },
  'pstorefs archive --config guests.toml --all-backends crashes --watch --keep-last 1000': {
    endless: '[ -n "$(ls crashes 2>/dev/null)" ]',
    after: 'cat crashes/*/summary.txt',
    prints: /^backend +guest1\n/m,
  },
  'pstorefs list crashes': {
    before: `pstorefs archive region.img crashes ${sizes}`,
    prints: /^1 .* ramoops +1x +panic, without a report$/m,
  },
  'pstorefs list --group --json crashes': {
    before: `pstorefs archive region.img crashes ${sizes}`,
    prints: /"count": 1/,
  },
  'pstorefs show crashes': {
    before: `pstorefs archive region.img crashes ${sizes}`,
    prints: /^crash +\S+-panic-1 in crashes$/m,
  },
  'pstorefs show crashes 2026-11-23T03:27:57Z-panic-3 --full': {
    before: `pstorefs archive region.img crashes ${sizes}; mv crashes/* crashes/2026-11-23T03:27:57Z-panic-3`,
    prints: /^crash +2026-11-23T03:27:57Z-panic-3 in crashes$/m,
  },
}

const makeRegion = (file: string): void => {
  format(file, { ...options, mem_size: 1 << 20 })
  const backend = attach(file, options)
  writeDump(backend, Buffer.from('why\n'))
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.close()
}

/** Run a line as its reader would: with the files that the text speaks of. */
const execute = (t: Test, line: string, how: Line) => {
  const home = folder(t)
  const { endless, fixture } = how
  // This machine's /mnt may be in use.
  const here = (text = ''): string => text.replaceAll(/(?<![\w/])\/mnt/g, `${home}/mnt`)
  fs.mkdirSync(`${home}/mnt`)
  if (fixture) fs.writeFileSync(`${home}/region.img`, loadFixture(fixture).region())
  else makeRegion(`${home}/region.img`)
  makeRegion(`${home}/guest.img`)
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
    for try in {1..1200}; do if ${endless}; then break; fi; sleep 0.1; done
    kill -INT $!; wait $!; cat printed`
  fs.writeFileSync(`${home}/config`, config)
  const script = `
    unset NODE_OPTIONS
    # Nobody else's mounts, and programs run from here, whatever TMPDIR is.
    umount -a -l -t fuse.pstorefs
    mount --bind ${home} ${home} && mount -o remount,bind,exec ${home}
    cp -a /etc ${home}/etc && cp ${home}/config ${home}/etc/pstorefs.toml && mount --bind ${home}/etc /etc
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

const documented = new Set(
  [
    ...linesOf('README.md', 'sh'),
    ...linesOf('doc/guides/fleet.md', 'sh'),
    ...linesOf('man/pstorefs.8.md', ''),
    ...linesOf('man/pstorefs.toml.5.md', ''),
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
