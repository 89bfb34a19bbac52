/**
 * What the worst regions cost: memory and time (SECURITY.md has the figures). Hostile input must not make
 * either grow beyond the region's size times a constant (ARCHITECTURE.md 5).
 *
 * Memory is what the kernel says of the process that ran. Time is not asserted, as machines differ: each
 * command must end, and is killed where it hangs.
 */
import { spawn } from 'node:child_process'
import crypto from 'node:crypto'
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import {
  alignVariable,
  encodeStoreHeader,
  encodeVariable,
  encodeVolumeHeader,
} from '#src/backends/efi/variable-store-format.js'
import { vendorGuid } from '#src/backends/efi/names.js'
import { attach, format, type AttachOptions } from '#src/index.js'
import { fixtureFolder } from '../fixtures.js'
import { storeLz4 } from '../model/lz4.js'
import { folder, program } from '../program.js'
import { bombs } from './bombs.js'

/** The length of regions: what SECURITY.md says is of 64 MiB. */
const size = Number(process.env.LIMITS ?? 16) << 20
/** Three times the region, and so many bytes. */
const boundOf = (region: Buffer, base: number): number => 3 * region.length + base
const signature = 0x43474244

/** A region that is one zone, full of this. */
const zoneOf = (content: Buffer, version = 0): Buffer => {
  const zone = Buffer.alloc(size)
  const length = content.copy(zone, 12)
  zone.writeUInt32LE((signature ^ version) >>> 0, 0)
  zone.writeUInt32LE(length === size - 12 ? 0 : length, 4)
  zone.writeUInt32LE(length, 8)
  return zone
}

const header = Buffer.from('====1700000000.000000-C\n')
const title = Buffer.from('Panic#1 Part1\n')
const dump = (stream: Buffer): Buffer => zoneOf(Buffer.concat([header, stream]))

/** Bytes that do not compress, and are the same in each run. */
const noise = (length: number): Buffer =>
  crypto
    .createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
    .update(Buffer.alloc(length))

/** Text of which a stream is as long as the zone, and that is three times as long. */
const dense = (): Buffer => {
  const text = noise(3 * size - 2000)
  for (let i = 0; i < text.length; i++) if (i % 6) text[i] = 65
  return zlib.deflateRawSync(text, { level: 1 }).subarray(0, size - 100)
}

const only = (what: AttachOptions): AttachOptions => ({
  record_size: 0,
  console_size: 0,
  pmsg_size: 0,
  ftrace_size: 0,
  ...what,
})

/** A console with parity, each block of which has so many wrong bytes. */
const damaged = (path: string, errors: number): Buffer => {
  const options = only({ console_size: size, ecc: 16 })
  fs.rmSync(path, { force: true })
  format(path, { ...options, mem_size: size })
  const backend = attach(path, options)
  backend.write({ type: 'console', bytes: noise(size) })
  backend.close()
  const bytes = fs.readFileSync(path)
  for (let at = 12; at + 128 < (size / 144) * 128; at += 128)
    for (let k = 0; k < errors; k++) bytes[at + 13 * k] ^= 0x55 + k
  return bytes
}

/** Many full zones, each with the same in it. */
const manyZones = (zone: number, content: string, version = 0, length = size): Buffer => {
  const one = Buffer.alloc(zone)
  one.writeUInt32LE((signature ^ version) >>> 0, 0)
  one.writeUInt32LE(zone - 12, 4)
  one.writeUInt32LE(zone - 12, 8)
  one.write(content, 12)
  return Buffer.alloc(length, one)
}

/** An EFI variable store full of dumps that cannot be inflated. */
const brokenVariables = (): Buffer => {
  const store = Buffer.alloc(2 << 20, 0xff)
  const volume = encodeVolumeHeader(store.length)
  volume.copy(store)
  const header = encodeStoreHeader({ authenticated: false, size: store.length - volume.length })
  header.copy(store, volume.length)
  let at = alignVariable(volume.length + header.length)
  for (let n = 0; ; n++) {
    const data = Buffer.from('broken')
    const name = `dump-type0-1-${n}-1-C`
    const variable = encodeVariable({ name, data, vendor: vendorGuid }, false)
    if (at + variable.length > store.length) return store
    variable.copy(store, at)
    at = alignVariable(at + variable.length)
  }
}

const plainDump = '====1700000000.000000-D\nPanic#1 Part1\n'

/** Bytes of memory that a run of the program took at most, how long it ran, and how much it printed. */
const cost = async (
  args: string[],
): Promise<{ memory: number; seconds: number; printed: number; status: number | null }> => {
  const start = performance.now()
  // VmHWM is gone with the process, so a last look is taken as it exits.
  const code = `import fs from 'node:fs'
    process.on('exit', () => fs.writeSync(2,
      'HWM ' + /VmHWM:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1]))`
  // tap puts a loader of its own into every Node that it sees started, which has a heap of its own.
  const node = [process.execPath, '--import', `data:text/javascript,${encodeURIComponent(code)}`]
  const child = spawn('env', ['-u', 'NODE_OPTIONS', ...node, program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = 0
  let said = ''
  child.stdout.on('data', (bytes: Buffer) => (printed += bytes.length))
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const timer = setTimeout(() => child.kill('SIGKILL'), 600_000)
  const status = await new Promise<number | null>(resolve => child.on('close', resolve))
  clearTimeout(timer)
  const seconds = (performance.now() - start) / 1000
  return { memory: Number(/HWM (\d+)/.exec(said)?.[1]) * 1024, seconds, printed, status }
}

const flagsOf = (options: AttachOptions): string[] =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])

interface Case {
  name: string
  /** Before the source's name. */
  driver?: string
  region: (path: string) => Buffer
  options: AttachOptions
  /** Each is run with the region and its options. */
  commands: string[][]
  /** The bytes beyond three times the region. Default: 100 MB. */
  base?: number
}

const kallsyms = `${fixtureFolder}/kallsyms.gz`
const dumps = only({ record_size: size })
const everything = [['ls', '--all'], ['check'], ['info', '--json']]

const cases: Case[] = [
  {
    name: 'a bomb: three times as much text as the zone has room, in a thousandth of it',
    region: () => dump(zlib.deflateRawSync(Buffer.alloc(3 * size - 2000))),
    options: dumps,
    commands: [...everything, ['cat', 'dmesg-ramoops-0']],
  },
  {
    name: 'a bomb that is too large',
    region: () => dump(zlib.deflateRawSync(Buffer.alloc(4 * size))),
    options: dumps,
    commands: [...everything, ['cat', '--salvage', 'dmesg-ramoops-0']],
  },
  {
    name: 'a dump that fills the zone, and three times as much text',
    region: () => dump(dense()),
    options: dumps,
    commands: [...everything, ['cat', '--salvage', 'dmesg-ramoops-0']],
  },
  ...Object.entries(bombs).flatMap(([codec, bomb]): Case[] => [
    {
      name: `a bomb of ${codec}: three times as much text as the zone has room`,
      region: () => dump(bomb(3 * size - 2000)),
      options: dumps,
      commands: [
        ['ls', '--all'],
        ['cat', 'dmesg-ramoops-0'],
      ],
    },
    {
      name: `a bomb of ${codec} that is too large`,
      region: () => dump(bomb(4 * size)),
      options: dumps,
      commands: [['cat', '--salvage', 'dmesg-ramoops-0']],
    },
  ]),
  {
    name: 'an lz4 dump that fills the zone',
    region: () => dump(storeLz4(Buffer.concat([title, noise(size - 300_000)]))),
    options: dumps,
    commands: [...everything, ['cat', 'dmesg-ramoops-0']],
  },
  {
    name: 'ftrace records of nonsense',
    region: () => zoneOf(noise(size - 12), 0x60c00),
    options: only({ ftrace_size: size }),
    commands: [
      ...everything,
      ['cat', 'ftrace-ramoops-0'],
      ['cat', '--kallsyms', kallsyms, 'ftrace-ramoops-0'],
    ],
  },
  ...[1, 8, 9].map((errors): Case => ({
    name: `${errors} wrong bytes in each block`,
    region: path => damaged(path, errors),
    options: only({ console_size: size, ecc: 16 }),
    commands: [...everything, ['cat', 'console-ramoops-0']],
  })),
  {
    name: 'sizes of 2^32 - 1',
    region: () => {
      const zone = zoneOf(Buffer.alloc(0))
      zone.fill(0xff, 4, 12)
      return zone
    },
    options: only({ console_size: size }),
    commands: everything,
  },
  {
    name: 'zones of 1 KiB, each with a dump',
    region: () => manyZones(1024, plainDump),
    options: only({ record_size: 1024 }),
    // Not `info --json`: what it prints is 25 MB by itself.
    commands: [['ls', '--all'], ['check'], ['info'], ['probe']],
  },
  {
    name: '65,536 zones of 16 bytes: 1 MiB',
    region: () => manyZones(16, plainDump, 0, 1 << 20),
    options: only({ record_size: 16 }),
    commands: [['ls', '--all'], ['ls', '--json'], ['check'], ['check', '--json'], ['info']],
  },
  {
    name: 'as many zones as Linux has memory for',
    region: () => manyZones(128, plainDump),
    options: only({ record_size: 128 }),
    commands: [['ls', '--all'], ['check'], ['info']],
  },
  {
    name: 'ftrace of many CPUs',
    region: () => manyZones(8192, 'records', 0x60c00),
    options: only({ ftrace_size: size, cpus: size / 8192 }),
    commands: [['ls'], ['check'], ['info']],
  },
  {
    name: 'signatures everywhere',
    region: () => manyZones(16, plainDump),
    options: {},
    commands: [['probe']],
  },
  {
    name: 'signatures everywhere: 2 MiB',
    region: () => manyZones(16, plainDump, 0, 2 << 20),
    options: {},
    commands: [['probe'], ['ls']],
    base: 150e6,
  },
  {
    name: 'an EFI variable store of 2 MiB with 25,013 broken dumps',
    driver: 'efi:',
    region: brokenVariables,
    options: {},
    commands: [['ls'], ['ls', '--all'], ['check'], ['info'], ['info', '--json']],
  },
]

for (const { name, driver = '', region, options, commands, base = 100e6 } of cases)
  t.test(name, async (t: Test) => {
    const path = `${folder(t)}/region.img`
    const bytes = region(path)
    fs.writeFileSync(path, bytes)
    for (const [command, ...rest] of commands) {
      const names = rest.filter(
        word => word.startsWith('dmesg-') || /^(ftrace|console)-/.test(word),
      )
      const flags = rest.filter(word => !names.includes(word))
      const args = [command, driver + path, ...names, ...flags, ...flagsOf(options)]
      let { memory, seconds, printed, status } = await cost(args)
      // Beside other work the collector comes late: what it costs is the least of some runs.
      for (let run = 1; run < 3 && memory > boundOf(bytes, base); run++)
        ({ memory, seconds, printed, status } = await cost(args))
      const what =
        `${[command, ...rest.map(word => word.replace(/.*\//, ''))].join(' ')}: ` +
        `${Math.round(memory / 1e6)} MB, ${seconds.toFixed(1)} s, ${printed} bytes`
      t.ok(status === 0 || (status === 1 && command === 'check'), `${what}: exit ${status}`)
      t.ok(memory > 0 && memory <= boundOf(bytes, base), what)
    }
  })
