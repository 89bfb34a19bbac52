/** Bad input gets one clear line, exit 1 (2 for wrong usage), and changes nothing. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { inside, makeApart } from '../apart.js'
import {
  file,
  folder,
  isMounted,
  program,
  pstorefs,
  pstorefsRefused,
  run,
  succeed,
} from '../program.js'

const asRoot = process.getuid!() !== 0 && 'only root may mount'

const K = 1024
const layout = [
  '--record-size',
  '4K',
  '--console-size',
  '4K',
  '--pmsg-size',
  '4K',
  '--ftrace-size',
  '0',
]
const small = Buffer.alloc(16 * K)

const refuse = (t: Test, args: string[], why: RegExp, status = 1): void => {
  const outcome = pstorefs(args)
  t.equal(outcome.status, status, `${args[0]}: exit ${status}`)
  t.match(outcome.stderr, why)
  t.match(outcome.stderr, /^pstorefs: [^\n]+\n$/, 'one line')
  t.equal(outcome.stdout.length, 0, 'and nothing else')
}

t.test('sources', async t => {
  const home = folder(t)
  for (const command of ['ls', 'mount'])
    for (const [source, why] of [
      [`${home}/nowhere`, /nowhere: no such file/],
      [home, /is a folder/],
      [file(t, Buffer.alloc(0)), /is empty/],
      ['/dev/null', /does not tell its size; give mem_size/],
    ] as const)
      refuse(t, [command, source, ...(command === 'mount' ? [folder(t)] : []), ...layout], why)
})

t.test('a source that nobody described and that cannot be read', async t => {
  const region = file(t, small)
  const outcome = pstorefsRefused(region, ['openat:error=EACCES'], ['ls', region])
  t.equal(outcome.status, 1)
  t.match(outcome.stderr, /^pstorefs: .*region\.img: permission denied\n$/)
})

t.test('layouts', async t => {
  const region = file(t, small)
  for (const [options, why] of [
    [[], /no pstore region found in .*--record-size, --console-size/],
    [['--mem-size', '64K', ...layout], /has 16384 bytes, its layout needs 65536 \(mem_size\)/],
    [['--mem-address', '1M', ...layout], /mem_address 0x100000 is past its end/],
    [['--record-size', '16K'], /dmesg record count == 0 \(4096 \/ 16384\)/],
    [['--console-size', '16K'], /no room for dmesg mem region/],
    [['--ecc', '4000'], /invalid ecc_size 4000/],
    [['--ecc', '128'], /ecc 128: .* at most 127/],
    [['--record-size', '-1'], /record_size '-1': not a size/],
    [['--record-size', '1e3'], /record_size '1e3': not a size/],
    [['--record-size', '99999999999G'], /not a size/],
    [['--record-size', ''], /not a size/],
    [['--ecc', 'many'], /ecc 'many': not a number/],
    [['--order', 'dmesg,mce'], /no zone is called 'mce'/],
    [['--order', 'dmesg,dmesg'], /dmesg is named twice/],
    [['--preset', 'windows'], /preset windows: not known/],
    [['--zones', 'dmesg'], /zones 'dmesg': dmesg:: give its size/],
    [['--zones', 'dmesg:4K', '--cpus', '2'], /zones: names every zone .*: cpus cannot be given/],
    [['--zones', 'gap:2G'], /zones: gap:0x80000000: ends at 0x80000000, beyond the region's/],
    [['--endian', 'middle'], /must be little or big/],
    [['--word-size', '16'], /must be 32 or 64/],
    [['--kallsyms', '/nowhere', ...layout], /\/nowhere: no such file/],
    [['--kallsyms', region, ...layout], /no symbols in it/],
  ] as const)
    refuse(t, ['ls', region, ...options], why)
  t.same(fs.readFileSync(region), small, 'the region is as it was')
})

t.test('mounts', async t => {
  const region = file(t, small)
  const full = folder(t)
  fs.writeFileSync(`${full}/precious`, '')
  const mountpoint = folder(t)
  for (const [args, why] of [
    [[region, `${full}/nowhere`, ...layout], /nowhere: no such folder/],
    [['mount', region, `${region}/under`, ...layout], /under: cannot be made: not a directory/],
    [['mount', region, region, ...layout], /is not a folder/],
    [['mount', '', mountpoint], /^pstorefs: source '': must be a path/],
    [['mount', region, '', ...layout], /^pstorefs: mountpoint '': must be a path/],
    [['mount', '--config', '-', mountpoint], /^pstorefs: -: a mount in the background has no/],
    [['mount', region, mountpoint, '--layout', '-'], /-: .*: save it in a file first, or add -f/],
    [[region, mountpoint, '-o', 'ro,kallsyms=-'], /-: .*: save it in a file first, or add -f/],
    [['mount', region, full, ...layout], /not empty; the mount would hide its files/],
    [['mount', region, '/proc', ...layout], /busy: something is mounted there already/],
    [['mount', region, mountpoint, '-o', 'bogus'], /option bogus: not known/],
    [['mount', region, mountpoint, '-o', 'bogus=1,ro'], /option bogus=1: not known/],
    [[region, mountpoint, '-oro,bogus=no'], /option bogus=no: not known/],
    [['mount', region, mountpoint, '-foro', '-osubdirs=no'], /subdirs no: must be visible/],
    [['mount', region, mountpoint, '-o', 'recordsize=4K'], /did you mean record_size\?/],
    [[region, mountpoint, '-o', 'record_size'], /option record_size: needs a value/],
    [[region, mountpoint, '-o', 'record_size=huge'], /record_size 'huge': not a size/],
    [[region, mountpoint, '-o', 'subdirs=maybe'], /subdirs maybe: must be visible, hidden or off/],
    [[region, mountpoint, '-o', 'kmsg_bytes=x', ...layout], /kmsg_bytes 'x': not a size/],
  ] as [string[], RegExp][])
    refuse(t, args, why)
  t.notOk(isMounted(mountpoint))
  t.same(fs.readFileSync(region), small, 'the region is as it was')
})

t.test('a folder without a name is not the one that one is in', async t => {
  const region = file(t, small)
  const home = folder(t)
  for (const args of [
    ['archive', region, '', ...layout],
    ['archive', region, '', '--watch', ...layout],
    ['ship', '', 'http://127.0.0.1:1'],
  ]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      cwd: home,
      encoding: 'utf8',
      timeout: 30_000,
    })
    t.same({ status, stdout }, { status: 1, stdout: '' })
    t.match(stderr, /^pstorefs: folder '': must be a path\n$/m)
  }
  t.same(fs.readdirSync(home), [])
  t.same(fs.readFileSync(region), small, 'the region is as it was')
})

t.test("the kernel's spelling is taken too", async t => {
  const region = file(t, small)
  const spelled = layout.map(option => option.replace(/-size$/, '_size'))
  for (const options of [spelled, spelled.join('=').replaceAll('=--', ' --').split(' ')])
    t.equal(pstorefs(['ls', region, ...options]).status, 0, options.join(' '))
})

t.test('a switch with a value that is none is not taken for its opposite', async t => {
  const home = folder(t)
  const region = file(t, small)
  for (const args of [
    ['archive', region, `${home}/crashes`, '--keep=yes', ...layout],
    ['archive', region, `${home}/crashes`, ...layout, '--keep=1'],
    ['archive', region, `${home}/crashes`, ...layout, '--keep='],
    ['mount', region, home, '--read-only=yes', ...layout],
    ['mount', region, home, '--read_only=1', ...layout],
    ['mount', region, home, '-r=1', ...layout],
    [region, home, '-fs=0', ...layout],
    ['ship', home, '--redact=on'],
    ['ls', region, '--json=maybe', '--json', ...layout],
  ])
    refuse(t, args, /^pstorefs: --?[\w-]+: takes no value: give it alone, or leave it out/, 2)
  t.same(fs.readdirSync(home), [])
  for (const [word, is] of [
    ['--json=true', true],
    ['--json=false', false],
  ] as const)
    t.equal(succeed(t, ['ls', region, word, ...layout]).toString(), is ? '[]\n' : '', word)
})

t.test('wrong usage is exit 2', async t => {
  // With one argument it could be mount(8)'s SOURCE. Without a config file: config.test.ts.
  const config = file(t, Buffer.from('[backends.guest]\nsource = "/nonexistent"\n'), 'some.toml')
  refuse(t, ['umount', folder(t), '--config', config], /umount: no such file, backend or command/)
  refuse(t, ['lss', 'x'], /lss: no such file, backend or command; did you mean ls\?/)
  for (const [args, why] of [
    [['nonsense'], /nonsense: no such command \(see `pstorefs help`\)/],
    [['moun', 'x', 'y', 'z'], /moun: no such command; did you mean mount\?/],
    [['help', 'lss'], /lss: there is no help of that name; did you mean ls\?/],
    [['ls'], /ls: SOURCE is missing, e.g. pstorefs ls region.img .*`pstorefs help ls`/],
    [['ls', 'x', '--bogus'], /--bogus: no such option \(see `pstorefs help ls`\)/],
    [
      ['ls', 'x', '--recordsize', '64K'],
      /--recordsize: no such option; did you mean --record-size\?/,
    ],
    [['ls', 'x', '--jsn'], /--jsn: no such option; did you mean --json\?/],
    [['cat', 'x', '--all'], /--all: no such option \(see/],
    [['ls', '-x.img'], /^pstorefs: -x\.img: no such option \(see/],
    [['mount', 'x', 'y', '--no-options'], /--no-options: no such option/],
    [['list', 'x', '--no-since'], /--no-since: no such option/],
    [['tty', 'x', '--no-record-size', '--', 'true'], /--no-record-size: no such option/],
    [['ship', 'x', '--record-size', '4K'], /--record-size: no such option \(see/],
    [['ship', 'x', '--timeout', ''], /--timeout: give seconds from 0 \(see/],
    [['follow', 'x', 'console', '--timeout', ' '], /--timeout: give seconds from 0 \(see/],
    [['status', '--record_size', '4K'], /--record_size: no such option \(see/],
    [['archive', 'x', 'y', '--keep-lats=3'], /--keep-lats: .*; did you mean --keep-last\?/],
    [['ls', 'x', '--record-size'], /--record-size needs a value .*help/],
    [['write', 'dmesg', 'x', '--reason'], /--reason needs a value .*help/],
    [['write', 'dmesg', 'x', '--compress'], /--compress needs a value .*help/],
    [['tty', 'x', 'bash', '-c', 'true'], /put -- before the command/],
    [
      ['write', 'nonsense', 'x'],
      /^pstorefs: type 'nonsense': must be one of console, tty, pmsg, dmesg \(see `pstorefs help write`\)/,
    ],
    [
      ['write', 'dmesg', 'x', '--compress', 'l\nz4', '--reason', 'no'],
      /^pstorefs: --compress 'l\\nz4': must be one of deflate, none \(see/,
    ],
    [
      ['write', 'dmesg', 'x', '--reason', 'Panic'],
      /: --reason 'Panic': must be one of panic, oops/,
    ],
  ] as const)
    refuse(t, [...args], why, 2)
})

t.test('a program that is not all there', async t => {
  const home = folder(t)
  const main = path.basename(program)
  for (const name of fs.readdirSync(path.dirname(program)))
    if (/^(pstorefs|main|chunk-.*|version)\.js$/.test(name))
      fs.copyFileSync(path.join(path.dirname(program), name), `${home}/${name}`)
  fs.writeFileSync(`${home}/package.json`, '{"type":"module"}')
  const { status, stderr } = run(process.execPath, [`${home}/${main}`, 'ls', 'x'])
  t.equal(status, 1)
  t.match(stderr, /^pstorefs: cannot be loaded: Cannot find [^\n]*\n$/)
})

t.test('where the working folder is gone, whole paths are what they are', async t => {
  const region = file(t, small)
  const gone = (...args: string[]) =>
    run('sh', [
      '-c',
      'cd "$1" && rmdir "$1" && shift && exec "$@"',
      'sh',
      folder(t),
      process.execPath,
      program,
      ...args,
    ])
  for (const args of [
    ['help'],
    ['format', region, '--force', ...layout],
    ['ls', '--json', region, ...layout],
  ])
    t.match(gone(...args), { status: 0, stderr: '' }, args[0])
  for (const args of [
    ['ls', 'region.img'],
    ['format', 'region.img', '--mem-size', '64K', ...layout],
  ])
    t.match(gone(...args), { status: 1, stderr: /^pstorefs: region\.img: [^\n]*no such file\n$/ })
})

t.test('a mountpoint on a read-only file system', { skip: asRoot }, async t => {
  const { home, sh } = makeApart(t)
  fs.writeFileSync(`${home}/r.img`, small)
  const { said } = sh(`
    mkdir ${inside}/ro && mount -t tmpfs -o ro tmpfs ${inside}/ro
    for at in m a/b; do
      pstorefs mount ${inside}/r.img ${inside}/ro/$at ${layout.join(' ')} 2>&1 || true
    done`)
  const refused = (at: string): string =>
    `pstorefs: ${inside}/ro/${at}: cannot be made: read-only file system\n`
  t.equal(said, refused('m') + refused('a/b'))
})

t.test('records that are not there', async t => {
  const region = file(t, small)
  succeed(t, ['format', region, '--force', ...layout])
  refuse(t, ['cat', region, 'console-ramoops-0', ...layout], /has no record console-ramoops-0/)
  refuse(t, ['cat', region, '../etc/passwd', ...layout], /has no record/)
  refuse(t, ['erase', region, 'dmesg-ramoops-99999999999999999999', ...layout], /has no record/)
})

t.test('help teaches', async t => {
  const overview = String(pstorefs(['help']).stdout)
  const commands = Array.from(overview.matchAll(/^ {2}([a-z]+) {2,}\S/gm), ([, name]) => name!)
  t.ok(['ls', 'mount', 'show', 'archive'].every(name => commands.includes(name)))
  t.same(pstorefs(['--help']).stdout.toString(), overview)
  const bare = pstorefs([])
  t.same(
    [bare.status, bare.stdout.length, bare.stderr],
    [2, 0, overview],
    'the commands, as misuse',
  )
  for (const command of commands) {
    const { status, stdout } = pstorefs(['help', command])
    const help = String(stdout)
    t.equal(status, 0)
    t.same(pstorefs([command, '--help']).stdout, stdout, `${command} --help is help ${command}`)
    t.match(help, new RegExp(`^pstorefs ${command} `))
    t.ok(help.trimEnd().split('\n').length < 40, `${command}: fits a screen or so`)
    t.ok(help.split('\n').every(line => line.length <= 80 || line.startsWith('  pstorefs')))
    t.match(help, /^Examples:\n {2}\S/m, `${command}: has examples`)
  }
  const layout = String(pstorefs(['help', 'layout']).stdout)
  t.match(layout, /--record-size {2,}size of a dmesg zone/)
  t.match(layout, /65536, 0x10000, 64K/)
  t.notMatch(layout, /--record_size {2}/)
  for (const version of ['--version', '-V', 'version'])
    t.match(pstorefs([version]).stdout.toString(), /^\d+\.\d+\.\d+\n$/)
  t.match(String(pstorefs(['tty', 'x', '--help', '--', 'y']).stdout), /^pstorefs tty /)
})
