/** `pstorefs probe` and what other commands make of a source without a layout. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { describedBy } from '#src/backends/ramoops/probe/described.js'
import { makeBlob, u32 } from '../backends/ramoops/blob.js'
import { silentRegion } from '../backends/ramoops/made.js'
import { loadFixture } from '../fixtures.js'
import { file, folder, isMounted, mount, pstorefs, run, succeed } from '../program.js'

interface Region {
  [name: string]: unknown
  mem_address: number
  open: string[]
  options: string
}

const probed = (t: Test, source: string): Region[] =>
  (JSON.parse(succeed(t, ['probe', '--json', source]).toString()) as { regions: Region[] }).regions

const panic = (): Buffer => loadFixture('ecc1-all').region()

t.test('a region, for people and for programs', async t => {
  const source = file(t, panic())
  const text = succeed(t, ['probe', source]).toString()
  for (const line of [
    /^region at 0x0, 131072 bytes: its layout is certain\n/,
    /--mem-size 131072 --record-size 16384 --console-size 16384 --pmsg-size 8192 --ftrace-size 16384 --ecc 16 --cpus 2\n/,
    /5 dmesg zones, 18022 bytes apart; 3 with a dump/,
    /console_size 16384: .*printk's time/,
    /pmsg_size 8192: .*binary data/,
    /signed by Linux 6\.12\.117/,
    /ecc 16: \d+ of \d+ blocks/,
  ])
    t.match(text, line)
  const [region] = probed(t, source)
  t.same(Object.keys(region), [
    'mem_address',
    'mem_size',
    'record_size',
    'console_size',
    'ftrace_size',
    'pmsg_size',
    'tty_size',
    'ecc',
    'cpus',
    'order',
    'endian',
    'certain',
    'open',
    'evidence',
    'options',
  ])
  t.match(region, {
    mem_address: 0,
    mem_size: 131072,
    record_size: 16384,
    ecc: 16,
    order: ['dmesg', 'console', 'pmsg', 'ftrace'],
    endian: 'little',
    certain: true,
    open: [],
  })
  const given = ['ls', '--json', source, ...region.options.split(' ')]
  t.same(succeed(t, ['ls', '--json', source]), succeed(t, given), 'its options are the same')
})

t.test('commands without a layout', async t => {
  const source = file(t, panic())
  const before = fs.readFileSync(source)
  t.match(succeed(t, ['cat', source, 'dmesg-ramoops-0']).toString(), /^Oops#1 Part1\n/)
  const mountpoint = mount(t, source, [])
  t.ok(fs.existsSync(`${mountpoint}/pmsg-ramoops-0`), 'it is mounted')
  t.same(fs.readFileSync(source), before, 'reading has changed nothing')
  succeed(t, ['write', 'console', source], Buffer.from('more\n'))
  t.match(succeed(t, ['cat', source, 'console-ramoops-0']).toString(), /more\n\nECC: /)
  succeed(t, ['erase', source, 'pmsg-ramoops-0'])
  t.notOk(fs.existsSync(`${mountpoint}/pmsg-ramoops-0`))
  t.equal(pstorefs(['ls', source]).stderr, '', "its kernel's command line is in its console")
})

t.test('an uncertain layout is read, and never written', async t => {
  const source = file(t, silentRegion())
  const before = fs.readFileSync(source)
  const { status, stdout, stderr } = pstorefs(['ls', source])
  t.equal(status, 0)
  t.match(stdout.toString(), /^dmesg-ramoops-0 /)
  t.match(
    stderr,
    /^pstorefs: .*layout guessed \(console_size, pmsg_size and tty_size cannot be told from the bytes\); using: [^\n]*\n$/,
  )
  for (const command of [
    ['erase', source, 'dmesg-ramoops-0'],
    ['write', 'dmesg', source],
  ]) {
    const refused = pstorefs(command, Buffer.from('text'))
    t.equal(refused.status, 1)
    t.match(
      refused.stderr,
      /^pstorefs: .*refusing to write with a guessed layout; pass it explicitly: --mem-size 65536 [^\n]*\n$/,
    )
  }
  const mountpoint = mount(t, source, [])
  t.throws(() => fs.unlinkSync(`${mountpoint}/dmesg-ramoops-0`), { code: 'EROFS' })
  t.ok(isMounted(mountpoint))
  t.same(fs.readFileSync(source), before, 'nothing has changed')
})

t.test('several regions, and none', async t => {
  const M = 2 ** 20
  const ram = Buffer.alloc(4 * M)
  panic().copy(ram, M)
  loadFixture('all-noecc')
    .region()
    .copy(ram, 2 * M)
  const source = file(t, ram, 'ram.img')
  t.same(
    probed(t, source).map(({ mem_address }) => mem_address),
    [M, 2 * M],
  )
  const { status, stderr } = pstorefs(['ls', source])
  t.equal(status, 1)
  t.match(stderr, /has 2 regions: say which: --mem-address 0x100000, --mem-address 0x200000\n$/)
  t.match(succeed(t, ['ls', source, '--mem-address', '2M']).toString(), /ftrace-ramoops-0/)
  t.match(pstorefs(['ls', source, '--mem-address', '3M']).stderr, /no pstore region found/)
  const none = pstorefs(['probe', source, '--mem-address', '3M'])
  t.equal(none.status, 1)
  t.match(none.stderr, /no ramoops region found: .*--record-size/)
})

t.test('what is compressed', t => {
  for (const start of ['KDUMP   \x06', 'makedumpfile\0\0\0\0']) {
    const { status, stderr } = pstorefs(['probe', file(t, Buffer.from(start.padEnd(8192, '\0')))])
    t.equal(status, 1)
    t.match(stderr, /^pstorefs: .*: a dump with compressed pages: dump it as an ELF core/)
  }
  t.end()
})

/** A node as a folder of a device tree. */
const treeFolder = (home: string, properties: { [file: string]: string | number[] }): void => {
  for (const [name, value] of Object.entries(properties)) {
    const target = path.join(home, name)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    const cells = typeof value === 'string' ? [] : value
    const bytes = Buffer.alloc(4 * cells.length)
    cells.forEach((cell, i) => bytes.writeUInt32BE(cell, 4 * i))
    fs.writeFileSync(target, typeof value === 'string' ? `${value}\0` : bytes)
  }
}

t.test('device trees', async t => {
  const home = folder(t)
  const node = 'reserved-memory/ramoops@8f000000'
  treeFolder(`${home}/tree`, {
    '#address-cells': [2],
    '#size-cells': [2],
    compatible: 'acme,board',
    'reserved-memory/#address-cells': [2],
    'reserved-memory/#size-cells': [2],
    'reserved-memory/ranges': [],
    [`${node}/compatible`]: 'ramoops',
    [`${node}/reg`]: [1, 0x8f000000, 0, 0x100000],
    [`${node}/record-size`]: [0x20000],
    [`${node}/console-size`]: [0x30000],
    [`${node}/pmsg-size`]: [0x20000],
    [`${node}/ecc-size`]: [16],
    'ramoops@1000/compatible': 'ramoops',
    'ramoops@1000/reg': [0, 0x1000, 0, 0x40000],
    'ramoops@1000/record-size': [0x10000],
    'ramoops@1000/status': 'disabled',
  })
  const blob = `${home}/board.dtb`
  const { status, stderr } = run('dtc', ['-q', '-I', 'fs', '-O', 'dtb', '-o', blob, `${home}/tree`])
  t.equal(status, 0, stderr)
  for (const source of [`${home}/tree`, blob]) {
    const regions = probed(t, source).sort((a, b) => b.mem_address - a.mem_address)
    t.match(regions, [
      {
        mem_address: 0x18f000000,
        mem_size: 0x100000,
        record_size: 0x20000,
        console_size: 0x20000,
        pmsg_size: 0x20000,
        ftrace_size: 0,
        ecc: 16,
        certain: false,
      },
      // A node of old Chromebooks.
      {
        mem_address: 0x1000,
        mem_size: 0x40000,
        record_size: 0x10000,
        console_size: 0x10000,
        pmsg_size: 0x10000,
        evidence: [/ramoops@1000$/, /disabled/, /^console and pmsg as large as a record/],
      },
    ])
    t.equal(regions.length, 2)
    t.match(
      pstorefs(['ls', source]).stderr,
      /is a device tree: it describes 2 regions but does not contain them/,
    )
  }
  treeFolder(`${home}/tree/${node}`, { 'console-size': [0], 'pmsg-size': [0], 'ecc-size': [0] })
  t.match(probed(t, `${home}/tree/reserved-memory`), [{ console_size: 0, pmsg_size: 0 }])
  const broken = fs.readFileSync(blob)
  for (let at = 0; at + 4 <= broken.length; at += 4) {
    const hostile = Buffer.from(broken)
    hostile.writeUInt32BE(0xfffffff0, at)
    for (const bytes of [hostile, broken.subarray(0, at)]) {
      fs.writeFileSync(blob, bytes)
      describedBy(blob)
    }
  }
  t.pass('broken ones do no harm')
})

t.test('hostile device trees', async t => {
  const path = `${folder(t)}/board.dtb`
  const ramoops = {
    compatible: Buffer.from('ramoops\0'),
    reg: u32(0, 0, 2 ** 28),
    'record-size': u32(4096),
  }
  const nodes = Object.fromEntries(
    Array.from({ length: 300 }, (_, i) => [`node\x1b[2J${i}`, ramoops]),
  )
  fs.writeFileSync(path, makeBlob(nodes))
  const regions = describedBy(path)!
  t.equal(regions.length, 64, 'no more than that are believed')
  t.equal(regions[0].evidence[0], "the device tree's node node??2J0")

  // Names of properties that are all the same millions of bytes.
  const count = 500_000
  const blob = Buffer.alloc(40 + 12 * count + 2 ** 23, 'x')
  u32(0xd00dfeed, blob.length, 40, 40 + 12 * count).copy(blob)
  u32(1, 0).copy(blob, 40)
  for (let i = 0; i < count - 1; i++) u32(3, 0, 0).copy(blob, 48 + 12 * i)
  fs.writeFileSync(path, blob)
  t.same(describedBy(path), [])
})

t.test('boot parameters', async t => {
  const parameters = folder(t)
  for (const [name, value] of Object.entries({
    mem_address: '134217728',
    mem_size: '1048576',
    mem_name: '(null)',
    record_size: '65536',
    console_size: '262144',
    ftrace_size: '0',
    pmsg_size: '4096',
    ecc: '1',
    max_reason: '-1',
    mem_type: '0',
  }))
    fs.writeFileSync(`${parameters}/${name}`, `${value}\n`)
  t.match(probed(t, parameters), [
    {
      mem_address: 0x8000000,
      mem_size: 0x100000,
      record_size: 65536,
      console_size: 262144,
      ftrace_size: 0,
      pmsg_size: 4096,
      ecc: 16,
    },
  ])
  const line = file(
    t,
    Buffer.from(
      'BOOT_IMAGE=/vmlinuz quiet reserve_mem=2M:4096:oops ramoops.mem_name=oops ramoops.ecc=8 ramoops.flags=0 ramoops.record_size=0x8000\n',
    ),
  )
  const [region] = probed(t, line)
  t.match(
    pstorefs(['ls', line]).stderr,
    /is a kernel command line: it describes a region but does not contain it/,
  )
  t.match(region, { mem_size: 0x200000, record_size: 0x8000, console_size: 4096, ecc: 8 })
  t.match(region.open, ['mem_address', 'order', 'endian'])
  t.match(region.options, /--flags 0/)
})
