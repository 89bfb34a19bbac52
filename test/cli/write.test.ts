/** `format`, `write`, `erase`: what goes in comes out, and what must not change does not. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { file, folder, mount, program, pstorefs, succeed, until } from '../program.js'
import { randomFor } from '../random.js'

const layout = [
  '--record-size',
  '4K',
  '--console-size',
  '4K',
  '--pmsg-size',
  '4K',
  '--tty-size',
  '2K',
  '--ftrace-size',
  '0',
]
const K = 1024
const make = (t: Test, options: string[] = []): string => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '26K', ...layout, ...options])
  return region
}

t.test('stdin that is empty, or cannot be read', async t => {
  const region = make(t)
  const before = fs.readFileSync(region)
  const empty = pstorefs(['write', 'console', region, ...layout], Buffer.alloc(0))
  t.equal(empty.status, 0)
  t.equal(empty.stderr, 'pstorefs: nothing on stdin: nothing is written\n')
  for (const type of ['console', 'dmesg']) {
    const command = '"$0" "$@" 0>/dev/null'
    const args = [process.execPath, program, 'write', type, region, ...layout]
    const closed = spawnSync('sh', ['-c', command, ...args], { encoding: 'utf8' })
    t.equal(closed.status, 1)
    t.equal(closed.stderr, 'pstorefs: stdin: cannot be read: bad file descriptor\n', type)
  }
  t.same(fs.readFileSync(region), before)
})

t.test('of several backends one that is no store keeps none of the others', async t => {
  const home = folder(t)
  const names = ['one', 'two', 'three']
  const config = `${home}/c.toml`
  fs.writeFileSync(
    config,
    names
      .map(
        name =>
          `[backends.${name}]\nsource = "${name}.img"\nrecord_size = 4096\nconsole_size = 4096\n`,
      )
      .join(''),
  )
  const named = ['--config', config]
  const strange = Buffer.alloc(26 * K, 'not a region')
  for (const name of ['one', 'three']) fs.writeFileSync(`${home}/${name}.img`, strange)
  succeed(t, ['format', 'two', '--mem-size', '26K', ...named])
  for (const type of ['console', 'dmesg']) {
    const outcome = pstorefs(
      ['write', type, '--backend', 'all', ...named],
      Buffer.from('last words\n'),
    )
    t.equal(outcome.status, 1)
    t.match(outcome.stderr, /one\.img: no zone .*\n.*three\.img: no zone .*\n$/, 'both are told')
    t.match(succeed(t, ['cat', 'two', type, ...named]).toString(), 'last words\n', type)
  }
  for (const name of ['one', 'three']) t.same(fs.readFileSync(`${home}/${name}.img`), strange)
})

t.test('rings give back exactly what was written', async t => {
  const random = randomFor(t)
  for (const [ecc, length] of [
    ['0', 4 * K - 12],
    ['16', 4 * K - 12 - 30 * 16],
  ] as const) {
    const options = [...layout, '--ecc', ecc]
    for (const size of [0, 1, length - 1, length, length + 1, 10 * length]) {
      const region = make(t, ['--ecc', ecc])
      // Any bytes: NULs, invalid UTF-8.
      const bytes =
        size === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0]), random.bytes(size - 1)])
      succeed(t, ['write', 'console', region, ...options], bytes)
      if (size === 0) {
        t.equal(succeed(t, ['ls', region, ...options]).length, 0, 'nothing is no record')
        continue
      }
      const shown = succeed(t, ['cat', region, 'console-ramoops-0', ...options])
      const end = ecc === '0' ? shown.length : shown.length - '\nECC: No errors detected\n'.length
      t.ok(shown.subarray(0, end).equals(bytes.subarray(-length)), `${size} bytes, ecc ${ecc}`)
    }
  }
})

t.test('each ring is its own', async t => {
  const region = make(t)
  for (const type of ['console', 'tty', 'pmsg'])
    succeed(t, ['write', type, region, ...layout], Buffer.from(`to ${type}\n`))
  for (const type of ['console', 'tty', 'pmsg'])
    t.equal(succeed(t, ['cat', region, `${type}-ramoops-0`, ...layout]).toString(), `to ${type}\n`)
  const anolis = ['--preset', 'anolis', ...layout]
  const own = `${folder(t)}/anolis.img`
  succeed(t, ['format', own, '--mem-size', '26K', ...anolis])
  succeed(t, ['write', 'tty', own, ...anolis], Buffer.from('probed'))
  t.equal(succeed(t, ['cat', own, 'ttyprobe-ramoops-0', ...anolis]).toString(), 'probed')
})

t.test('big-endian regions', async t => {
  const region = make(t, ['--endian', 'big', '--ecc', '16'])
  const options = [...layout, '--endian', 'big', '--ecc', '16']
  succeed(t, ['write', 'pmsg', region, ...options], Buffer.from('big'))
  t.match(
    succeed(t, ['cat', region, 'pmsg-ramoops-0', ...options]).toString(),
    /^big\nECC: No errors/,
  )
  t.ok(fs.readFileSync(region).includes('CGBD\0\0\0\x03\0\0\0\x03big'))
})

t.test('big-endian disks', async t => {
  const disk = `${folder(t)}/disk.img`
  const options = ['--pmsg-size', '4K', '--kmsg-size', '4K', '--endian', 'big']
  const rest = ['--console-size', '0', '--ftrace-size', '0']
  succeed(t, ['format', `zone:${disk}`, '--mem-size', '16K', ...options, ...rest])
  succeed(t, ['write', 'pmsg', `zone:${disk}`, ...options, ...rest], Buffer.from('big'))
  t.equal(succeed(t, ['cat', `zone:${disk}`, 'pmsg-pstore_blk-0', ...options, ...rest]) + '', 'big')
  // "DBGC" xor pmsg's number, datalen, start.
  t.ok(fs.readFileSync(disk).includes('CGBC\0\0\0\x03\0\0\0\x03big'))
})

t.test('dumps', async t => {
  const region = make(t)
  const write = (args: string[], text: string | Buffer): void => {
    succeed(t, ['write', 'dmesg', region, ...args, ...layout], Buffer.from(text))
  }
  const cat = (n: number): string =>
    succeed(t, ['cat', region, `dmesg-ramoops-${n}`, ...layout]).toString('latin1')
  const raw = (): string => fs.readFileSync(region).toString('latin1').replaceAll('\0', '')
  /** The zones of this layout hold four dumps. */
  const all = (): Buffer[] =>
    [0, 1, 2, 3]
      .map(n => pstorefs(['cat', region, `dmesg-ramoops-${n}`, ...layout]))
      .filter(({ status }) => status === 0)
      .map(({ stdout }) => stdout)
  write([], 'it died\n')
  t.equal(cat(0), 'Panic#1 Part1\nit died\n')
  t.match(raw(), /DBGC..====\d+\.\d{6}-C\n/s, 'deflated')
  write(['--reason', 'oops', '--compress', 'none'], 'it stumbled\n')
  t.equal(cat(1), 'Oops#2 Part1\nit stumbled\n', 'the count goes on')
  t.match(raw(), /====\d+\.\d{6}-D\nOops#2 Part1\nit stumbled\n/)
  for (const reason of ['emergency', 'shutdown', 'halt', 'poweroff', 'restart']) {
    write(['--reason', reason], 'x')
    const name = reason[0].toUpperCase() + reason.slice(1)
    const found = all().map(String)
    t.ok(
      found.some(text => text.startsWith(`${name}#`)),
      name,
    )
  }
  const room = 4 * K - 12 - '====1700000000.000000-D\n'.length
  const random = randomFor(t)
  const noise = Buffer.from(random.bytes(9000).toString('base64'))
  write([], noise)
  const kept = all()
  const cut = kept.find(text => text.length === room)!
  t.ok(
    cut && noise.toString().endsWith(cut.toString().replace(/^Panic#\d+ Part1\n/, '')),
    'plain, and the end of it, where it does not fit',
  )
  const long = `${'a line that compresses\n'.repeat(2000)}the end\n`
  write([], long)
  const ends = all().map(String)
  const compressed = ends.find(text => text.endsWith('the end\n'))!
  t.equal(
    compressed.length,
    Math.floor((room * 100) / 60),
    'more where it compresses: what every Linux inflates',
  )
})

t.test('dumps go to the zone after the newest', async t => {
  const region = `${folder(t)}/region.img`
  const options = [
    '--record-size',
    '4K',
    '--console-size',
    '0',
    '--pmsg-size',
    '0',
    '--ftrace-size',
    '0',
  ]
  succeed(t, ['format', region, '--mem-size', '12K', ...options])
  const shown = (): string[] => {
    const names =
      succeed(t, ['ls', region, ...options])
        .toString()
        .match(/^dmesg\S+/gm) ?? []
    return names.map(
      name =>
        `${name.at(-1)}:${
          succeed(t, ['cat', region, name, ...options])
            .toString()
            .split('\n')[1]
        }`,
    )
  }
  for (const [text, expected] of [
    ['a', ['0:a']],
    ['b', ['0:a', '1:b']],
    ['c', ['0:a', '1:b', '2:c']],
    ['d', ['0:d', '1:b', '2:c']],
    ['e', ['0:d', '1:e', '2:c']],
  ] as const) {
    succeed(t, ['write', 'dmesg', region, ...options], Buffer.from(text))
    t.same(shown(), expected)
  }
  succeed(t, ['erase', region, 'dmesg-ramoops-1', ...options])
  t.same(shown(), ['0:d', '2:c'])
  succeed(t, ['write', 'dmesg', region, ...options], Buffer.from('f'))
  t.same(shown(), ['0:d', '1:f', '2:c'], 'the newest left is number 0')
})

t.test('what must not be written is not', async t => {
  const refuse = (args: string[], why: RegExp, input = Buffer.from('x')): void => {
    const { status, stderr } = pstorefs(args, input)
    t.equal(status, 1)
    t.match(stderr, why)
    t.match(stderr, /^pstorefs: [^\n]+\n$/)
  }
  const region = make(t)
  const before = fs.readFileSync(region)
  const none = ['--record-size', '4K', '--pmsg-size', '0', '--ftrace-size', '0']
  refuse(['write', 'pmsg', region, ...none], /has no pmsg zone; give it a size \(pmsg_size\)/)
  refuse(['write', 'tty', region, ...none], /has no tty zone/)
  refuse(['write', 'console', region, ...layout, '--reason', 'oops'], /--reason: only for dmesg/)
  refuse(
    ['write', 'dmesg', region, ...layout],
    /nothing on stdin: an empty dump cannot be stored/,
    Buffer.alloc(0),
  )
  refuse(
    ['erase', region, 'console-ramoops-0', 'pmsg-ramoops-0', ...layout],
    /has no record console-ramoops-0/,
  )
  // Zones that not even a dump's first line fits into.
  const tiny = file(t, Buffer.alloc(8192))
  const narrow = '--record-size 32 --console-size 4K --pmsg-size 0 --ftrace-size 0'.split(' ')
  refuse(
    ['write', 'dmesg', tiny, ...narrow, '--force'],
    /ramoops: its dmesg zones are too small for a dump$/m,
  )
  t.ok(fs.readFileSync(tiny).equals(Buffer.alloc(8192)))
  refuse(['format', region, ...layout], /is not empty: --force wipes/)
  refuse(['format', `${region}.new`, ...layout], /no such file; give mem_size to make it/)
  refuse(['format', `${region}.new`, '--mem-size', '26K'], /no layout given/)
  refuse(['format', `${region}.new`, '--mem-size', '8K', ...layout], /no room for/)
  refuse(['format', `${region}.new`, '--mem-size', '-8K', ...layout], /not a size/)
  refuse(['format', `/proc/nowhere/region`, '--mem-size', '26K', ...layout], /cannot be made/)
  t.notOk(fs.existsSync(`${region}.new`))
  t.same(fs.readFileSync(region), before)

  const stranger = file(t, Buffer.alloc(26 * K, 'not a region'))
  const strange = fs.readFileSync(stranger)
  refuse(
    ['write', 'console', stranger, ...layout],
    /no zone of this layout has a header: is the layout right\?/,
  )
  refuse(['write', 'dmesg', stranger, ...layout], /no zone of this layout has a header/)
  t.same(fs.readFileSync(stranger), strange, 'it is never formatted on the way')

  const readOnly = make(t)
  fs.chmodSync(readOnly, 0o400)
  if (process.getuid!() !== 0)
    refuse(['write', 'console', readOnly, ...layout], /cannot be written/)
})

t.test('a source that another process holds', async t => {
  const region = make(t)
  const before = fs.readFileSync(region)
  const holder = spawn('flock', ['-x', region, 'sh', '-c', 'echo held; exec sleep 600'], {
    detached: true,
  })
  t.teardown(() => process.kill(-holder.pid!, 'SIGKILL'))
  await new Promise(resolve => holder.stdout.once('data', resolve))
  const { status, stderr } = spawnSync(
    process.execPath,
    [program, 'write', 'console', region, ...layout],
    { input: 'x' },
  )
  t.equal(status, 1)
  t.match(stderr.toString(), /^pstorefs: .*region\.img: another process holds it exclusively\n$/)
  t.same(fs.readFileSync(region), before)
  t.equal(succeed(t, ['ls', region, ...layout]).length, 0, 'it can still be read')
})

t.test('format --force wipes, also what is between the zones', async t => {
  const region = make(t)
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('a secret'))
  succeed(t, ['format', region, '--force', ...layout])
  t.equal(succeed(t, ['ls', region, ...layout]).length, 0)
  t.notMatch(fs.readFileSync(region).toString('latin1'), 'a secret')
  const zeros = file(t, Buffer.alloc(26 * K))
  succeed(t, ['format', zeros, ...layout])
  succeed(t, ['write', 'tty', zeros, ...layout], Buffer.from('zeros need no force'))
})

t.test('a region inside a larger file', async t => {
  const dump = file(t, Buffer.alloc(1024 * K, 'R'))
  const inside = [...layout, '--mem-address', '0x40000', '--mem-size', '26K']
  succeed(t, ['format', dump, '--force', ...inside])
  succeed(t, ['write', 'console', dump, ...inside], Buffer.from('inside'))
  t.equal(succeed(t, ['cat', dump, 'console-ramoops-0', ...inside]).toString(), 'inside')
  const bytes = fs.readFileSync(dump)
  t.equal(bytes.length, 1024 * K)
  t.ok(
    bytes.subarray(0, 0x40000).every(byte => byte === 0x52),
    'before it nothing is changed',
  )
  t.ok(
    bytes.subarray(0x40000 + 26 * K).every(byte => byte === 0x52),
    'nor behind it',
  )
})

t.test('a stream goes in as it comes', async t => {
  const region = make(t)
  const mountpoint = mount(t, region, layout)
  const writer = spawn(process.execPath, [program, 'write', 'tty', region, ...layout])
  const ended = new Promise(resolve => writer.on('exit', resolve))
  writer.stdin.write('first\n')
  const shown = (): string => {
    try {
      return fs.readFileSync(`${mountpoint}/tty-ramoops-0`, 'latin1')
    } catch {
      return ''
    }
  }
  t.ok(await until(() => shown() === 'first\n'), 'before its end')
  writer.stdin.end('last\n')
  t.equal(await ended, 0)
  t.equal(shown(), 'first\nlast\n')
})

t.test('deflate is the raw kind', async t => {
  const region = make(t)
  succeed(t, ['write', 'dmesg', region, ...layout], Buffer.from('text\n'))
  const bytes = fs.readFileSync(region)
  const start = bytes.indexOf('-C\n') + 3
  t.equal(zlib.inflateRawSync(bytes.subarray(start)).toString(), 'Panic#1 Part1\ntext\n')
})
