/**
 * Small inputs made after what people reported, of kernels old and new: each gives what the README beside
 * them calls right. They lie in ../shared (../shared.ts); where they do not, this is skipped.
 */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { file, folder, pstorefs, succeed } from '../program.js'
import { readShared, shared, skipWithoutShared } from '../shared.js'

const home = 'cases'
const skip = skipWithoutShared(home)

/** What `ls --json` says of a record, or with `--all` of a zone. */
interface Listed {
  name: string
  mtime: string | null
  why?: string
}

const image = (t: Test, name: string): string => file(t, readShared(home, `${name}.img.gz`))

const list = (t: Test, source: string, options: string[]): Listed[] =>
  JSON.parse(succeed(t, ['ls', '--json', source, ...options]).toString()) as Listed[]

const title = /^(Oops|Panic|Emergency|Shutdown|Unknown)#\d+ Part\d+\n/

/** Layouts are given as options, with K for KiB: `record 16, console 16` is `--record-size 16K --console-size 16K`. */
const sizes = (text: string): string[] => {
  const all = new Map(['record', 'console', 'pmsg', 'ftrace'].map(name => [name, '0']))
  for (const [, name, size] of text.matchAll(/(\w+) (\d+)/g)) all.set(name!, size!)
  return [...all].flatMap(([name, size]) => [`--${name}-size`, `${size}K`])
}

const zoneSizes = [
  '--kmsg-size',
  '64K',
  '--console-size',
  '0',
  '--pmsg-size',
  '0',
  '--ftrace-size',
  '0',
]

/** Inputs of which everything can be read. */
const sound: {
  [input: string]: { source: (t: Test) => string; options: string[]; files: string }
} = {
  'zlib, as 3.12 to 4.17 write it': {
    source: t => image(t, 'zlib-4.9'),
    options: sizes('record 64'),
    files: 'dmesg dmesg',
  },
  'raw deflate, zlib, zstd, LZ4, LZO': {
    source: t => image(t, 'codecs'),
    options: sizes('record 32, console 32'),
    files: 'dmesg dmesg dmesg dmesg dmesg console',
  },
  'EFI variables in old codecs': {
    source: () => `efi:${path.join(shared(home), 'efi-old-codecs')}`,
    options: [],
    files: 'dmesg dmesg dmesg dmesg dmesg dmesg',
  },
  'zones of before 4.10': {
    source: t => image(t, 'before-4.10'),
    options: ['--preset', 'linux-pre-4.10', ...sizes('record 16, console 16, pmsg 16')],
    files: 'dmesg dmesg dmesg dmesg dmesg console pmsg',
  },
  "Rockchip's zones": {
    source: t => image(t, 'rockchip'),
    options: ['--preset', 'rockchip'],
    files: 'boot-log dmesg dmesg console pmsg',
  },
  'ftrace of a 32-bit machine': {
    source: t => image(t, 'ftrace-32bit'),
    options: sizes('record 16, console 16, pmsg 8, ftrace 8'),
    files: 'dmesg console pmsg ftrace',
  },
  'ftrace of a big-endian one': {
    source: t => image(t, 'ftrace-32bit-be'),
    options: [
      '--preset',
      'linux-pre-6.2',
      '--endian',
      'big',
      ...sizes('record 16, console 16, pmsg 8, ftrace 8'),
    ],
    files: 'dmesg console pmsg ftrace',
  },
  'pstore_blk: dumps of 64 bits, i386 and ARM32': {
    source: t => `zone:${image(t, 'blk-i386')}`,
    options: zoneSizes,
    files: 'dmesg dmesg dmesg',
  },
}

for (const [input, { source: make, options, files }] of Object.entries(sound))
  t.test(input, { skip }, async t => {
    const source = make(t)
    const records = list(t, source, options)
    t.same(
      records.map(({ name }) => name.replace(/-[a-z_]+-\d+$/, '')).sort(),
      files.split(' ').sort(),
      'its files, under their plain names',
    )
    const { status, stdout } = pstorefs(['check', source, ...options])
    t.equal(status, 0, stdout.toString())
    for (const { name, mtime } of records) {
      const text = succeed(t, ['cat', source, name, ...options]).toString('latin1')
      if (name.startsWith('dmesg')) {
        t.match(text.replace(/^\w+: Total \d+ times\n/, ''), title, name)
        t.ok(mtime, `${name}: its time`)
      }
      if (name.startsWith('ftrace')) {
        const lines = text.split('\n').slice(0, -1)
        t.ok(lines.length > 100, `${lines.length} lines`)
        const call =
          /^CPU:[0-7] ts:\d{1,9} c[0-9a-f]{7} {2}c[0-9a-f]{7} {2}0xc[0-9a-f]{7} <- 0xc[0-9a-f]{7}$/
        t.same(lines.filter(line => !call.test(line)).slice(0, 3), [], 'each of them a call')
      }
    }
  })

t.test("i386's dumps in pstore_blk", { skip }, async t => {
  const source = `zone:${image(t, 'blk-i386')}`
  const [, i386] = list(t, source, zoneSizes)
  t.equal(i386!.mtime, '1700000100.123456789')
  t.match(
    succeed(t, ['cat', source, i386!.name, ...zoneSizes]).toString(),
    /^Panic: Total 2 times\nPanic#1 Part1\n<6>\[ {3}97\.000000\] /,
  )
})

/** A damaged header hides nothing: what lies behind it, and how its bytes begin. */
const hidden = [
  { input: 'decay-signature', name: 'console-ramoops-0', sizes: 'record 16, console 16, pmsg 16', begins: /^\[ {4}0\.000000\] unit 0: / },
  { input: 'decay-size', name: 'console-ramoops-0', sizes: 'record 16, console 16, pmsg 16', begins: /^\[ {4}0\.000000\] unit 0: / },
  { input: 'flip-one-bit', name: 'dmesg-ramoops-1', sizes: 'record 16, console 16, pmsg 8, ftrace 16', begins: /^====\d+\.\d{6}-C\n/ },
] // prettier-ignore

for (const { input, name, sizes: layout, begins } of hidden)
  t.test(`${input}: the zone behind the broken header`, { skip }, async t => {
    const source = image(t, input)
    const options = [...sizes(layout), '--cpus', '2']
    const [type, , id] = name.split('-')
    const all = JSON.parse(
      succeed(t, ['ls', '--all', '--json', source, ...options]).toString(),
    ) as (Listed & { type: string; id: string })[]
    const zone = all.find(zone => zone.type === type && zone.id === id)
    t.ok(zone, 'ls --all lists it')
    t.match(zone?.why, /\S/, 'and says what it is')
    t.equal(pstorefs(['check', source, ...options]).status, 1, 'check counts it')
    const raw = succeed(t, ['cat', '--raw', source, name, ...options]).toString('latin1')
    t.match(raw, begins, 'cat --raw gives its bytes')
    t.ok(raw.length > 1000, `${raw.length} bytes`)
  })

t.test('a console far from its dumps is of their region', { skip }, async t => {
  const source = image(t, 'far-console-256K')
  const { regions } = JSON.parse(succeed(t, ['probe', '--json', source]).toString()) as {
    regions: { certain: boolean }[]
  }
  t.same(
    regions.map(({ certain }) => certain),
    [false],
  )
  t.same(
    list(t, source, [])
      .map(({ name }) => name)
      .sort(),
    ['console-ramoops-0', 'dmesg-ramoops-0', 'dmesg-ramoops-1'],
  )
})

t.test("parity in 3.4's blocks", { skip }, async t => {
  const source = image(t, 'parity-3.4')
  const options = ['--preset', 'linux-3.4', '--ecc', '1']
  const text = succeed(t, ['cat', source, 'console-ramoops-0', ...options]).toString('latin1')
  t.match(text, /\nECC: 40 Corrected bytes, 0 unrecoverable blocks\n$/)
})

const whole = [...sizes('record 16, console 16, pmsg 8, ftrace 16'), '--cpus', '2']

/** Layouts that are not the region's: what is given, and how the line goes on that `ls` and `check` say. */
const wrong: { input: string; options: string[]; said: RegExp }[] = [
  { input: 'crosvm-5.10', options: ['--preset', 'crosvm'], said: /^2 of 5 zones are signed as of another kind .* finds .* --preset linux-pre-6\.2\n$/ },
  { input: 'whole', options: [...whole, '--mem-address', '4096'], said: /^no zone .* has a header, but \d signatures stand elsewhere, .* finds .* --cpus 2\n$/ },
  { input: 'whole', options: [...whole, '--endian', 'big'], said: /^9 of 9 zones are signed in the other byte order .* finds .* --cpus 2\n$/ },
  { input: 'whole', options: [...whole, '--ecc', '1'], said: /^no header of its zones, or of its dumps, fits its parity: .* finds .* --cpus 2\n$/ },
  { input: 'whole', options: [...whole, '--console-size', '32K'], said: /^7 of 8 zones have no header .* signatures stand elsewhere, .* finds .* --cpus 2\n$/ },
  { input: 'whole', options: whole.slice(0, -2), said: /^ftrace has the zones of 2 CPUs, .*: give --cpus 2\n$/ },
  { input: 'before-4.10', options: sizes('record 16, console 16, pmsg 16'), said: /signatures stand elsewhere, .* finds .* --preset linux-pre-4\.10\n$/ },
] // prettier-ignore

for (const { input, options, said } of wrong)
  t.test(
    `${input} ${options.slice(-2).join(' ')}: a layout that is not the region's is told`,
    { skip },
    async t => {
      const source = image(t, input)
      const { status, stderr } = pstorefs(['ls', source, ...options])
      t.equal(status, 0)
      t.ok(stderr.startsWith(`pstorefs: ${source}: `), stderr)
      t.match(stderr.slice(`pstorefs: ${source}: `.length), said)
      t.equal(stderr.split('\n').length, 2, 'in one line')
      t.equal(pstorefs(['check', source, ...options]).status, 1)
    },
  )

t.test("a layout that is the region's is not doubted", { skip }, async t => {
  for (const [input, options] of [
    ['whole', whole],
    ['flip-one-bit', whole],
    ['far-console-256K', sizes('record 4, console 4')],
  ] as const)
    t.equal(pstorefs(['ls', image(t, input), ...options]).stderr, '', input)
})

t.test('a file system is no region', { skip }, async t => {
  const source = image(t, 'cramfs')
  const before = fs.readFileSync(source)
  const layout = sizes('record 16, console 16')
  const boot = ['-o', `attach=boot,state=${folder(t)}`]
  for (const args of [
    ['mount', source, folder(t), ...boot],
    ['write', 'console', source],
    ['write', 'dmesg', source],
  ]) {
    const { status, stderr } = pstorefs([...args, ...layout], Buffer.from('text'))
    t.equal(status, 1)
    t.match(stderr, /: no zone of this layout has a header: is the layout right\? /)
  }
  t.ok(fs.readFileSync(source).equals(before), 'not a byte of it changes')
})
