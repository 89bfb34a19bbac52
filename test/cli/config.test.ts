/** The config file: what it says, what it may not say, and names from it on the command line. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { format } from '#src/index.js'
import { parseConfig } from '#src/cli/options/config.js'
import { inside, makeApart } from '../apart.js'
import { file, folder, isMounted, pstorefs, succeed } from '../program.js'

const asRoot = process.getuid!() !== 0 && 'only root has an /etc of its own'

const good = `
backend = "all"
subdirs = "hidden"
ro = true
kmsg_bytes = 10240
nodev = false
allow_other = true

[backends.guest1]
driver = "ramoops"
source = "/var/lib/guests/1/pstore.img"
record_size = "64K"
console_size = 0x40000
order = "dmesg,console"
[backends."vm.2"]
source = "efi:vars.fd"
[backends]
guest3 = { driver = "erst", source = "sub/efi:erst.img" }
found = { source = "some.img" }
colon = { source = "cone:y" }
disk = { source = "pstore_blk:disk.img" }
`

t.test('what it says', async t => {
  const { backends, mount } = parseConfig(good, '/etc')
  t.same(backends, [
    {
      name: 'guest1',
      source: 'ramoops:/var/lib/guests/1/pstore.img',
      options: { record_size: 65536, console_size: 0x40000, order: ['dmesg', 'console'] },
    },
    { name: 'vm.2', source: 'efi:/etc/vars.fd', options: {} },
    { name: 'guest3', source: 'erst:/etc/sub/efi:erst.img', options: {} },
    // No driver is named: it is found out by what is there.
    { name: 'found', source: '/etc/some.img', options: {} },
    { name: 'colon', source: '/etc/cone:y', options: {} },
    { name: 'disk', source: 'zone:/etc/disk.img', options: {} },
  ])
  t.match(mount, {
    backend: 'all',
    subdirs: 'hidden',
    readOnly: true,
    passed: ['allow_other'],
  })
  t.equal(parseConfig('ro = false', '/').mount.readOnly, false)
  t.equal(parseConfig('umask = "027"', '/').mount.umask, 0o27)
  t.same(parseConfig('', '/').backends, [])
})

/** `FILE: WHY`, one line, exit 1, by a command that needs the file. */
const bad: [text: string, why: RegExp][] = [
  ['backend = ', /: line 1: invalid value$/],
  ['[backends.a]\nsource = "x"\nsource = "y"', /: line 3: /],
  ['backend = 99999999999999999999', /: line 1: /],
  ['bogus = 1', /: option bogus=1: not known/],
  ['bogus = "1"', /: option bogus=1: not known/],
  ['bogus = true', /: bogus: must be a string/],
  ['ro = "yes"', /: ro: must be true or false$/],
  ['allow_other = 1', /: allow_other: must be true or false$/],
  ['subdirs = "maybe"', /: subdirs maybe: must be/],
  ['subdirs = true', /: subdirs: must be a string$/],
  ['backend = ["a", "b"]', /: backend: must be a string$/],
  ['kmsg_bytes = "lots"', /: kmsg_bytes 'lots': not a size/],
  ['config = "other.toml"', /: config: a config file cannot name another one$/],
  ['record_size = "64K"', /: record_size: .*it belongs below \[backends\.NAME\]$/],
  ['source = "x"', /: source: .*it belongs below/],
  ['backends = 1', /: backends: must be tables/],
  ['[[backends]]\nsource = "x"', /: backends: must be tables/],
  ['[backends]\na = 1', /: backends\.a: must be a table/],
  ['[backends]\na = 2024-01-01', /: backends\.a: must be a table/],
  ['[backends.a]', /: backends\.a: source: missing/],
  ['[backends.a]\nsource = ""', /: backends\.a: source: must be a path/],
  ['[backends.a]\nsource = 7', /: backends\.a: source: must be a path/],
  ['[backends.a]\nsource = "x"\ndriver = "mtd"', /: backends\.a: driver: must be one of ramoops, /],
  ['[backends.a]\nsource = "x"\ndriver = "__proto__"', /: driver: must be one of/],
  ['[backends.a]\nsorce = "x"', /: backends\.a: sorce: not known; did you mean source\?$/],
  ['[backends.a]\nsource = "x"\nrecord_sise = "4K"', /: record_sise: .* mean record_size\?$/],
  ['[backend.a]\nsource = "x"', /: backend: is a table; did you mean \[backends\.NAME\]\?$/],
  ['[backends.a]\nsource = "x"\nrecord_size = 64k', /: line 3: .*; put it in quotes$/],
  ['[backends.a]\nsource = "x"\nbogus = 1', /: backends\.a: bogus: not known$/],
  ['[backends.a]\nsource = "x"\n__proto__ = 1', /: backends\.a: __proto__: not known$/],
  ['[backends.a]\nsource = "x"\nrecord_size = "1x"', /: backends\.a: record_size '1x': not a size/],
  ['[backends.a]\nsource = "x"\nrecord_size = true', /: record_size: must be a string or/],
  ['[backends.a]\nsource = "x"\nrecord_size = 1.5', /: record_size: must be a string or/],
  ['[backends.a]\nsource = "x"\nrecord_size = -1', /: record_size '-1': not a size/],
  ['[backends.a]\nsource = "x"\norder = "mce"', /: backends\.a: order 'mce': /],
  ['[backends.all]\nsource = "x"', /: backends\.all: means every backend/],
  ['[backends.101]\nsource = "x"', /: backends\.101: a name must not be a number/],
  ['[backends."a/b"]\nsource = "x"', /: backends\.a\/b: invalid backend name/],
  ['[backends."a\\nb"]\nsource = "x"', /: backends\.a\\nb: invalid backend name/],
  ['[backends.__proto__]\nsource = "x"', /: backends\.__proto__: invalid backend name/],
  [
    '[backends.dmesg-x-0]\nsource = "x"',
    /: backends\.dmesg-x-0: invalid backend name: a record could have it/,
  ],
  // As a number it is 63, and as text that would be 063.
  ['umask = 0o077', /: umask: must be octal digits, in quotes$/],
]

const refused = (t: Test, args: string[], why: RegExp): void => {
  const { status, stdout, stderr } = pstorefs(args)
  t.equal(status, 1, `${args[0]}: exit 1`)
  t.match(stderr, /^pstorefs: [^\n]+\n$/, 'one line')
  t.match(stderr.trimEnd(), why)
  t.equal(stdout.length, 0, 'and nothing else')
}

t.test('what it may not say', async t => {
  for (const [text, why] of bad) {
    let said = 'nothing'
    try {
      parseConfig(text, '/')
    } catch (error) {
      said = `: ${(error as Error).message}`
      t.equal((error as Error).name, 'StoreError', text)
    }
    t.match(said, why, text)
    t.notMatch(said, '\n')
  }
})

t.test('it is said in a line that names the file', async t => {
  const mountpoint = folder(t)
  for (const [text, why] of [bad[0], bad[3], bad[19], bad[24]]) {
    const config = file(t, Buffer.from(text), 'bad.toml')
    const whole = new RegExp(`^pstorefs: ${config}${why.source}`)
    refused(t, ['ls', 'a', '--config', config], whole)
    refused(t, ['mount', '--config', config, mountpoint], whole)
    refused(t, ['none', mountpoint, '-o', `config=${config}`], whole)
  }
  refused(t, ['ls', 'a', '--config', '/nowhere.toml'], /: \/nowhere\.toml: no such file$/)
  refused(t, ['mount', '--config', '/nowhere.toml', mountpoint], /: \/nowhere\.toml: no such file$/)
  refused(t, ['mount', '--config', mountpoint, mountpoint], /: is a folder, not a file$/)
  const empty = file(t, Buffer.alloc(0), 'empty.toml')
  refused(t, ['mount', '--config', empty, mountpoint], /: no backend is configured$/)
  t.notOk(isMounted(mountpoint))
})

t.test('without one, and with the usual one', { skip: asRoot }, async t => {
  const { home, sh } = makeApart(t)
  fs.mkdirSync(`${home}/mnt`)
  const mountpoint = `${inside}/mnt`
  const { said } = sh(`
    code() { "$@" 2>&1 || echo "exit $?"; }
    code pstorefs mount ${mountpoint}
    code pstorefs umount ${mountpoint}
    code pstorefs ls guest
    code pstorefs tty --backend all -- true
    echo '[backends.guest]
      source = "/nowhere"' >/etc/pstorefs.toml
    code pstorefs mount ${mountpoint}
    code pstorefs umount ${mountpoint}
    code pstorefs ls guest`)
  const why = [
    /^pstorefs: .*: is a folder: name a SOURCE before it, or --config FILE$/,
    /^exit 1$/,
    /^pstorefs: umount: no such file, backend or command.*$/,
    /^exit 1$/,
    /^pstorefs: guest: no such file.*$/,
    /^exit 1$/,
    /^pstorefs: \/etc\/pstorefs\.toml: no such file; name another with --config$/,
    /^exit 1$/,
    /^pstorefs: .*\/nowhere: no such file$/,
    /^exit 1$/,
    /^pstorefs: umount: no such file, backend or command.*$/,
    /^exit 1$/,
    /^pstorefs: .*\/nowhere: no such file.*$/,
    /^exit 1$/,
    /^$/,
  ]
  const lines = said.split('\n')
  t.equal(lines.length, why.length, said)
  for (const [i, line] of lines.entries()) t.match(line, why[i])
})

t.test('a usual one that cannot be read is no hindrance to a file', { skip: asRoot }, async t => {
  const { sh } = makeApart(t)
  const layout = '--record-size 4K --console-size 4K'
  const { said, status } = sh(`
    cd ${inside} && mkdir mnt
    echo 'bogus = true' >/etc/pstorefs.toml
    pstorefs format ./a.img --mem-size 16K ${layout} >made
    echo said | pstorefs write console a.img ${layout} 2>&1
    pstorefs ls a.img ${layout} 2>&1
    pstorefs mount a.img mnt ${layout} 2>&1; cat mnt/console*; umount mnt
    pstorefs mount mnt 2>&1 || echo "exit $?"
    pstorefs ls b.img 2>&1 || echo "exit $?"`)
  t.equal(status, 0)
  const told = 'pstorefs: /etc/pstorefs.toml: bogus: must be a string'
  const left = `${told}: left out, as a.img is a file\n`
  t.equal(said.split(left).length, 4, said)
  t.match(said, /^console-ramoops-0 /m)
  t.match(said, /^said$/m)
  t.ok(said.endsWith(`${told}\nexit 1\n`.repeat(2)), said)
})

t.test('commands take a configured name', async t => {
  const home = folder(t)
  const layout = { record_size: 4096, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  format(`${home}/one.img`, { ...layout, mem_size: 16384 })
  const config = `${home}/c.toml`
  fs.writeFileSync(
    config,
    `subdirs = "hidden"
    [backends.guest1]
    source = "one.img"
    record_size = "4K"
    console_size = 4096
    pmsg_size = 0
    ftrace_size = 0
    [backends.guest2]
    source = "two.img"
    mem_size = "16K"
    record_size = "4K"
    console_size = "8K"
    pmsg_size = 0
    ftrace_size = 0`,
  )
  const named = ['--config', config]
  succeed(t, ['write', 'console', 'guest1', ...named], Buffer.from('hello\n'))
  succeed(t, ['write', 'dmesg', 'guest1', ...named], Buffer.from('dead\n'))
  t.match(JSON.parse(succeed(t, ['ls', 'guest1', '--json', ...named]).toString()), [
    { backend: 'guest1', name: 'dmesg-guest1-0' },
    { backend: 'guest1', name: 'console-guest1-0' },
  ])
  t.equal(succeed(t, ['cat', 'guest1', 'console-guest1-0', ...named]).toString(), 'hello\n')
  succeed(t, ['erase', 'guest1', 'console-guest1-0', ...named])
  t.notMatch(succeed(t, ['ls', 'guest1', ...named]).toString(), 'console')

  // Made by name, and the command line's layout wins.
  succeed(t, ['format', 'guest2', ...named])
  succeed(t, ['write', 'console', 'guest2', ...named], Buffer.alloc(8000, 'x'))
  refused(t, ['ls', 'guest2', '--console-size', '64K', ...named], /no room for dmesg/)

  // With a slash or a driver it is a path; without a config file too.
  const plain = Object.entries(layout).flatMap(([name, size]) => [`--${name}`, `${size}`])
  for (const source of [`${home}/one.img`, `ramoops:${home}/one.img`])
    t.match(succeed(t, ['ls', source, ...plain, ...named]).toString(), /^dmesg-ramoops-0 /)
  refused(t, ['ls', 'guest9', ...named], /: guest9: neither a file nor a backend of .*c\.toml$/)
  refused(t, ['ls', './guest1', ...named, ...plain], /: \.\/guest1: no such file$/)
  refused(t, ['ls', 'ramoops:guest1', ...named, ...plain], /: guest1: no such file$/)
  refused(t, ['format', `efi:${home}/vars.fd`], /efi stores are made by firmware only$/)
})
