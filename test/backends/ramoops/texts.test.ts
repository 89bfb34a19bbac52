/** Texts that describe a region, as the kernel takes them: command lines, modprobe.d, sysfs, logs. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { readDescription, type DescribedRegions } from '#src/backends/ramoops/probe/described.js'
import type { FoundRegion } from '#src/backends/ramoops/probe/found.js'
import { file, folder } from '../../program.js'
import { readShared, skipWithoutShared } from '../../shared.js'

const describe = (text: string): DescribedRegions | null =>
  readDescription(file(t, Buffer.from(text)))

const linux = (version: string, line: string, using = '0x100000@0x8000000, ecc: 16'): string =>
  `[    0.000000] Linux version ${version} (gcc)\n` +
  `[    0.000000] Kernel command line: ${line}\n` +
  (using
    ? `[    0.400000] ramoops: using ${using}\n[    0.5] pstore: Registered ramoops as persistent store backend\n`
    : '')

const size = 'ramoops.mem_address=0x8000000 ramoops.mem_size=0x100000'
const both = `${size} ramoops.record_size=0x8000 ramoops.ecc=1`

type Expected = Partial<Omit<FoundRegion, 'options'> & { options: string | RegExp }>
type Case = [text: string, kind: string, expected: Expected | null, said: RegExp]
const cases: Case[] = [
  // Units are refused, and what was said before stays.
  [
    `${size} ramoops.record_size=16384 ramoops.record_size=32K`,
    'a kernel command line',
    { record_size: 16384, mem_address: 0x8000000 },
    /`ramoops\.record_size=32K`: Linux refuses it, and has 16384: write 32768/,
  ],
  [
    'ramoops.mem_size=1M',
    'a kernel command line',
    null,
    /`ramoops\.mem_size=1M`: .* and has none: write 1048576/,
  ],
  [
    `${size} ramoops.ecc=1k`,
    'a kernel command line',
    { ecc: 0 },
    /`ramoops\.ecc=1k`: Linux refuses it, as if it were not given: write 1024/,
  ],
  [
    `${size} ramoops.record_size=\x01much`,
    'a kernel command line',
    { record_size: 4096 },
    /record_size=\?much`: Linux refuses it, and has 4096$/,
  ],
  // Bases, signs and quotes as C and next_arg have them.
  [
    `${size} "ramoops.record_size=0X4000" ramoops.console_size="+020000"`,
    'a kernel command line',
    { record_size: 0x4000, console_size: 0x2000 },
    /command line/,
  ],
  [
    `${size} x="a ramoops.mem_size=1" ramoops.ecc=-1 ramoops.mem_type=2 ramoops.unknown=3`,
    'a kernel command line',
    { mem_size: 0x100000, ecc: 0 },
    /command line/,
  ],
  [
    `${size} -- ramoops.mem_size=0x200000`,
    'a kernel command line',
    { mem_size: 0x100000 },
    /command line/,
  ],
  [
    `${size} ramoops.mem_size=99999999999999999999`,
    'a kernel command line',
    { mem_size: 0x100000 },
    /refuses it/,
  ],
  // The reason that dumps are kept for.
  [
    `${size} ramoops.dump_oops=0`,
    'a kernel command line',
    { options: /--max-reason 1/ },
    /command line/,
  ],
  [
    `${size} ramoops.dump_oops=1`,
    'a kernel command line',
    { parameters: { max_reason: 2 } },
    /command line/,
  ],
  [
    `${size} ramoops.dump_oops=0 ramoops.max_reason=5`,
    'a kernel command line',
    { options: /--max-reason 5/ },
    /command line/,
  ],
  [
    'reserve_mem=2M:4096:oops ramoops.mem_name=oops',
    'a kernel command line',
    { mem_size: 0x200000 },
    /under the name oops/,
  ],
  [
    'reserve_mem=2:4096:oops ramoops.mem_name=oops',
    'a kernel command line',
    { mem_size: 2 },
    /under the name oops/,
  ],
  [
    'reserve_mem=99E:4096:oops reserve_mem ramoops.mem_name=oops',
    'a kernel command line',
    { mem_size: 0 },
    /under the name oops/,
  ],
  // modprobe.d
  [
    '# kdumpst\noptions other x=1\noptions ramoops mem_address=0x8000000 \\\n  mem_size=0x100000 record_size=0x8000\n',
    'a modprobe.d file',
    { mem_size: 0x100000, record_size: 0x8000 },
    /modprobe/,
  ],
  [
    'options ramoops mem_size=1M mem-address=1',
    'a modprobe.d file',
    null,
    /the module is not loaded/,
  ],
  ['options ramoops mem_size', 'a modprobe.d file', null, /the module is not loaded/],
  ['options ramoops record_size=1', 'a modprobe.d file', null, /gives ramoops no memory/],
  // sysfs
  [
    '/sys/module/ramoops/parameters/mem_size:1048576\n/sys/module/ramoops/parameters/record_size:65536\n/sys/module/ramoops/parameters/max_reason:-1\n',
    'a list of module parameters',
    { mem_size: 0x100000, record_size: 65536, open: ['flags', 'ecc', 'cpus', 'order', 'endian'] },
    /the module's parameters/,
  ],
  [
    'mem_size:1048576\nrecord_size:65536\nftrace_size:0\necc:16\nflags:0\n',
    'a list of module parameters',
    { ecc: 16, open: ['endian'] },
    /parameters/,
  ],
  [
    'mem_size:0\nrecord_size:65536\n',
    'a list of module parameters',
    null,
    /gives ramoops no memory/,
  ],
  // Logs
  [
    linux('6.12.1', both),
    "a kernel's log",
    { record_size: 0x8000, ecc: 16, open: ['cpus', 'endian'] },
    /ramoops: using 0x100000@0x8000000, ecc: 16/,
  ],
  [linux('5.10.0', both), "a kernel's log", { preset: 'linux-pre-6.2' }, /Linux version 5\.10/],
  [linux('4.4.1', both), "a kernel's log", { preset: 'linux-pre-4.10' }, /Linux version 4\.4/],
  [linux('3.10.5', both), "a kernel's log", { preset: 'linux-3.x' }, /Linux version 3\.10/],
  [
    linux('6.12.1', both, ''),
    "a kernel's log",
    { record_size: 0x8000, open: ['cpus', 'order', 'endian'] },
    /command line/,
  ],
  // Another source of the region than the command line: nobody says the sizes.
  [
    linux('6.12.1', 'quiet'),
    "a kernel's log",
    { mem_address: 0x8000000, options: '--mem-address 0x8000000 --mem-size 1048576' },
    /ramoops: using/,
  ],
  [
    '[1] ramoops: using 0x100000@0x8f000000, ecc: 0\n',
    "a kernel's log",
    { mem_address: 0x8f000000 },
    /ramoops: using/,
  ],
  [
    linux('6.12.1', 'ramoops.mem_size=0x200000'),
    "a kernel's log",
    { mem_size: 0x100000, options: '--mem-address 0x8000000 --mem-size 1048576' },
    /ramoops: using/,
  ],
  // printk cuts long lines: what may be half a word is none.
  [
    linux('6.12.1', `${'x'.repeat(900)} ${both}`, ''),
    "a kernel's log",
    { record_size: 0x8000, ecc: 0 },
    /command line/,
  ],
]

t.test('each as the kernel takes it', async t => {
  for (const [text, kind, expected, said] of cases) {
    const found = describe(text)
    t.equal(found?.kind, kind, text)
    t.match(found?.regions, expected ? [expected] : [], text)
    const lines = [
      ...(found?.notes ?? []),
      ...(found?.regions.flatMap(({ evidence }) => evidence) ?? []),
    ]
    t.ok(
      lines.some(line => said.test(line)),
      `${text}: ${lines.join('; ')}`,
    )
  }
  const many = describe(`${size} ${'ramoops.ecc=x '.repeat(99)}`)
  t.equal(many?.regions[0]?.evidence.length, 18, 'not without end')
  t.equal(describe('some text\n'), null)
})

t.test('the folder in sysfs', async t => {
  const parameters = folder(t)
  for (const [name, value] of Object.entries({ mem_size: '0', record_size: '4096' }))
    fs.writeFileSync(path.join(parameters, name), `${value}\n`)
  t.match(readDescription(parameters), { regions: [], notes: [/gives ramoops no memory/] })
})

t.test("reports' command lines", { skip: skipWithoutShared('cases') }, async t => {
  const shared: [name: string, expected: Partial<FoundRegion>[]][] = [
    ['balena', [{ mem_address: 0x2000000, record_size: 4096 }]],
    ['nonpow', [{ mem_size: 0x180000, console_size: 0x20000, ecc: 16 }]],
    ['reserve', [{ mem_size: 0x200000, record_size: 0x40000 }]],
    ['suffix', []],
  ]
  for (const [name, expected] of shared) {
    const found = describe(readShared('cases', 'cmdline', name).toString())
    t.match(found?.regions, expected, name)
    t.equal(found?.regions.length, expected.length, name)
  }
})
