/** From parameters to zones: rounding, order, remainders, and what Linux refuses. */
import t from 'tap'
import {
  divideZone,
  makeLayout,
  presets,
  type RamoopsParameters,
} from '#src/backends/ramoops/layout.js'

/** `kind×count@offset+size` for each run of zones. */
const picture = (parameters: RamoopsParameters, memSize: number): string => {
  const runs: string[] = []
  let end = 0
  const { zones } = makeLayout(parameters, memSize)
  for (const { kind, index, offset, size } of zones) {
    t.equal(offset, end, 'zones follow each other')
    end = offset + size
    const count = zones.filter(zone => zone.kind === kind).length
    if (index === 0) runs.push(`${kind}×${count}@${offset}+${size}`)
  }
  t.ok(end <= memSize, 'and fit')
  return runs.join(' ')
}

const K = 1024
t.test('layouts', async t => {
  const cases: [name: string, parameters: RamoopsParameters, memSize: number, expected: string][] =
    [
      [
        "Linux's defaults",
        { ecc: 0 },
        20 * K,
        'dmesg×2@0+4096 console×1@8192+4096 pmsg×1@12288+4096 ftrace×1@16384+4096',
      ],
      [
        'sizes are rounded down to powers of two, mem_size is not; a remainder makes dumps larger',
        { record_size: 10000, console_size: 10000, ftrace_size: 6000, pmsg_size: 5000, cpus: 2 },
        100000,
        'dmesg×10@0+8360 console×1@83600+8192 pmsg×1@91792+4096 ftrace×2@95888+2048',
      ],
      [
        'zones of dumps are cut to even sizes, and what follows is where they end',
        { record_size: 16 * K, console_size: 0, ftrace_size: 0, pmsg_size: 4 * K },
        94 * K + 3,
        'dmesg×5@0+18432 pmsg×1@92160+4096',
      ],
      [
        'before Linux 6.2, ftrace came before pmsg',
        { record_size: 4 * K, tty_size: 8 * K, preset: 'linux-pre-6.2' },
        24 * K,
        'dmesg×1@0+4096 console×1@4096+4096 ftrace×1@8192+4096 pmsg×1@12288+4096 tty×1@16384+8192',
      ],
      [
        'since then tty stands before ftrace',
        { record_size: 4 * K, tty_size: 8 * K },
        24 * K,
        'dmesg×1@0+4096 console×1@4096+4096 pmsg×1@8192+4096 tty×1@12288+8192 ftrace×1@20480+4096',
      ],
      [
        'any other order; what it leaves out is not there',
        { order: ['pmsg', 'dmesg'], record_size: 4 * K },
        12 * K,
        'pmsg×1@0+4096 dmesg×2@4096+4096',
      ],
      [
        'crosvm makes everything of the size',
        { preset: 'crosvm' },
        64 * K,
        'dmesg×2@0+20480 console×1@40960+16384 pmsg×1@57344+4096 ftrace×1@61440+4096',
      ],
      [
        'no dumps where the rings take all',
        { record_size: 4 * K },
        12 * K,
        'console×1@0+4096 pmsg×1@4096+4096 ftrace×1@8192+4096',
      ],
      [
        'no dumps with record_size 0',
        { record_size: 0, ftrace_size: 0 },
        64 * K,
        'console×1@0+4096 pmsg×1@4096+4096',
      ],
      [
        'ftrace for one CPU of three',
        { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 4096, cpus: 3 },
        4 * K,
        'ftrace×3@0+1364',
      ],
      [
        'before 6.8 shares were not made even, and what follows was at an odd offset',
        { record_size: 16 * K, ftrace_size: 4 * K, cpus: 3, preset: 'linux-pre-6.8' },
        97 * K,
        'dmesg×5@0+17408 console×1@87040+4096 pmsg×1@91136+4096 ftrace×3@95232+1365',
      ],
      [
        'before 6.2 neither',
        { record_size: 16 * K, ftrace_size: 4 * K, cpus: 3, preset: 'linux-4.10' },
        63 * K,
        'dmesg×3@0+17408 console×1@52224+4096 ftrace×3@56320+1365 pmsg×1@60415+4096',
      ],
      [
        'of dumps, too',
        { record_size: 16 * K, pmsg_size: 0, ftrace_size: 0, preset: 'linux-4.10' },
        61 * K,
        'dmesg×3@0+19456 console×1@58368+4096',
      ],
      [
        'flags 0: one zone whatever the CPUs',
        { record_size: 0, console_size: 0, pmsg_size: 0, flags: 0, cpus: 4 },
        4 * K,
        'ftrace×1@0+4096',
      ],
      [
        'before 4.10 a dump has record_size bytes, and CPUs share an ftrace zone; what is left over stays unused',
        { record_size: 10000, ftrace_size: 6000, pmsg_size: 0, cpus: 4, preset: 'linux-pre-4.10' },
        50001,
        'dmesg×5@0+8192 console×1@40960+4096 ftrace×1@45056+4096',
      ],
      [
        'before 4.10 an odd record_size would stay odd, if it were not a power of two',
        { record_size: 0, console_size: 8 * K, preset: 'linux-pre-4.10' },
        64 * K,
        'console×1@0+8192 ftrace×1@8192+4096 pmsg×1@12288+4096',
      ],
      [
        '3.x rounds the memory down, too, and has no pmsg',
        { record_size: 16 * K, console_size: 16 * K, preset: 'linux-3.x' },
        96 * K,
        'dmesg×2@0+16384 console×1@32768+16384 ftrace×1@49152+4096',
      ],
      [
        'so it was before 3.10',
        { record_size: 16 * K, console_size: 16 * K, preset: 'linux-pre-3.10' },
        96 * K,
        'dmesg×2@0+16384 console×1@32768+16384 ftrace×1@49152+4096',
      ],
      [
        "Android's 3.x has pmsg",
        { record_size: 16 * K, pmsg_size: 16 * K, preset: 'linux-3.x' },
        65 * K,
        'dmesg×2@0+16384 console×1@32768+4096 ftrace×1@36864+4096 pmsg×1@40960+16384',
      ],
      [
        'in 3.4 the console has all, to the last byte',
        { preset: 'linux-3.4' },
        130001,
        'console×1@0+130001',
      ],
      [
        "Rockchip's boards",
        { preset: 'rockchip' },
        896 * K,
        'boot-log×1@0+32768 dmesg×2@32768+81920 console×1@196608+524288 pmsg×1@720896+196608',
      ],
      [
        "Rockchip's kernel rounds nothing, but to even zones; dumps share the rest",
        {
          preset: 'rockchip',
          boot_log_size: 1003,
          boot_log_count: 2,
          record_size: 5000,
          console_size: 777,
          pmsg_size: 0,
          ftrace_size: 999,
          flags: 1,
          cpus: 2,
        },
        16 * K,
        'boot-log×2@0+500 dmesg×2@1000+6802 console×1@14604+777 ftrace×2@15381+498',
      ],
      [
        'without a count there is no boot log, and its bytes are nobody’s',
        {
          preset: 'rockchip',
          boot_log_count: 0,
          boot_log_size: 4096,
          console_size: 0,
          pmsg_size: 0,
        },
        100000,
        'dmesg×1@0+95904',
      ],
      [
        'an order that leaves out what only the preset has',
        { preset: 'rockchip', order: ['dmesg', 'console'], console_size: 1000 },
        2 * 0x14000 + 1000,
        'dmesg×2@0+81920 console×1@163840+1000',
      ],
      [
        'crosvm with a guest before 6.2',
        { preset: 'crosvm-pre-6.2' },
        64 * K,
        'dmesg×2@0+20480 console×1@40960+16384 ftrace×1@57344+4096 pmsg×1@61440+4096',
      ],
    ]
  for (const [name, parameters, memSize, expected] of cases)
    t.equal(picture(parameters, memSize), expected, name)
})

t.test('what Linux refuses is refused, with its reason', async t => {
  const cases: [parameters: RamoopsParameters, memSize: number, why: RegExp][] = [
    [
      { record_size: 4 * K, console_size: 16 * K, pmsg_size: 16 * K, ftrace_size: 16 * K },
      50 * K,
      /^record_size 4 KiB: the other zones leave 2 KiB for dumps \(Linux: dmesg record count == 0 \(2048 \/ 4096\)\)$/,
    ],
    [
      { console_size: 16 * K, pmsg_size: 16 * K, ftrace_size: 16 * K },
      32 * K,
      /^the zones besides dumps need 48 KiB, the region has 32 KiB \(Linux: no room for dmesg mem region\)$/,
    ],
    [
      { record_size: 0, console_size: 64 * K },
      32 * K,
      /^the zones up to console need 64 KiB, the region has 32 KiB \(Linux: no room for console mem region\)$/,
    ],
    [
      { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 0 },
      32 * K,
      /record\/console size must be non-zero/,
    ],
    [
      { record_size: 16, console_size: 0, pmsg_size: 0, ftrace_size: 0 },
      2 ** 24,
      /dmesg: 1048576 zones: the kernel has no memory for a list of more than 524288/,
    ],
    [{ ecc: 4000 }, 128 * K, /invalid ecc_size 4000 \(total 8000, buffer size 4084\)/],
    [
      { ecc: 300, record_size: 16 * K, console_size: 16 * K, pmsg_size: 8 * K },
      128 * K,
      /init_rs failed/,
    ],
    [{ ecc: 128 }, 128 * K, /ecc 128: .*at most 127/],
    [{ ecc: 255 }, 128 * K, /ecc 255: .*at most 127/],
    [{ console_size: 8 }, 16 * K, /console zone of 8 bytes: smaller than its header/],
    [
      { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 2, cpus: 4 },
      4 * K,
      /ftrace record size == 0 \(2 \/ 4\)/,
    ],
    [
      { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 4, cpus: 4 },
      4 * K,
      /ftrace zone size == 0/,
    ],
    [
      { console_size: 64 * K, preset: 'linux-pre-4.10' },
      32 * K,
      /^the zones besides dumps need \d+ KiB, the region has 32 KiB$/,
    ],
    [{ preset: 'linux-pre-4.10' }, 12 * K, /dmesg record count == 0 \(0 \/ 4096\)/],
    [
      { preset: 'rockchip', boot_log_size: 2, boot_log_count: 3 },
      896 * K,
      /boot-log record size == 0 \(2 \/ 3\)/,
    ],
    [
      { preset: 'rockchip', boot_log_size: 2 ** 24, boot_log_count: 2 ** 20 },
      2 ** 26,
      /boot-log: 1048576 zones: the kernel has no memory/,
    ],
    [{ boot_log_size: 4096 }, 64 * K, /order dmesg,.*: has no boot-log, but a size/],
    [
      { ecc: 127, preset: 'linux-3.4' },
      4096,
      /console: invalid ecc_size 127 \(total 4191, buffer size 4084\)/,
    ],
    [{ preset: 'linux-9' }, 64 * K, /preset linux-9: not known: one of linux-6\.2, /],
    [{ preset: 'constructor' }, 64 * K, /not known/],
    [{ order: ['dmesg'], pmsg_size: 4096 }, 64 * K, /order dmesg: has no pmsg/],
    [{ cpus: 0 }, 64 * K, /cpus 0/],
    [{ cpus: 100000 }, 64 * K, /cpus 100000/],
  ]
  for (const [parameters, memSize, why] of cases)
    t.throws(() => makeLayout(parameters, memSize), { message: why }, String(why))
})

t.test('ecc 1 means 16, up to 127 works', async t => {
  t.equal(makeLayout({ ecc: 1 }, 64 * K).ecc, 16)
  t.equal(makeLayout({ ecc: 127 }, 64 * K).ecc, 127)
})

t.test('data and parity of a zone (doc/formats.md 1.6)', async t => {
  t.same(divideZone(4096, 0), { data: 4084, blocks: 0 })
  // As kernels say: "0x4666 …: 12 header, 15994 data, 2016 ecc", "0x4000 …: 12 header, 8117 data, 8255 ecc".
  t.same(divideZone(0x4666, 16), { data: 15994, blocks: 125 })
  t.same(divideZone(0x4000, 127), { data: 8117, blocks: 64 })
  t.same(divideZone(12, 0), null)
  t.same(divideZone(44, 16), null)
  // 3.4: as many blocks as all the room would be, so the last parities are nobody's.
  t.same(divideZone(0x20000, 16, true), { data: 114660, blocks: 1024 })
  t.same(divideZone(4096, 0, true), { data: 4084, blocks: 0 })
  t.same(divideZone(44, 16, true), null)
  const old = Object.keys(presets).filter(preset => makeLayout({ preset }, 2 ** 20).oldParity)
  t.same(old, ['linux-pre-3.10', 'linux-3.4'])
})

t.test('whose ftrace zones are merged', async t => {
  const merged = (parameters: RamoopsParameters): boolean =>
    makeLayout(parameters, 2 ** 20).ftracePerCpu
  t.equal(merged({}), true)
  t.equal(merged({ flags: 0 }), false)
  t.equal(merged({ preset: 'linux-pre-4.10', flags: 1 }), false, 'before 4.10 there is one')
  t.equal(merged({ preset: 'rockchip' }), false, 'a device tree says no flags')
})
