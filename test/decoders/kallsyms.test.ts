/** What `%ps` and `%pS` print, from a file of symbols. */
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { loadSymbols } from '#src/decoders/kallsyms.js'
import { randomFor } from '../random.js'

/** Print addresses as a kernel with these symbols does. */
const printer = (
  t: Test,
  text: string | Buffer,
): ((address: bigint) => [ps: string, pS: string]) => {
  const symbols = loadSymbols(`${t.testdir({ kallsyms: text })}/kallsyms`)
  return address => {
    const [hi, lo] = [Number(address >> 32n), Number(address & 0xffffffffn)]
    const unnamed = `0x${address.toString(16)}`
    return [symbols.name(hi, lo) ?? unnamed, symbols.nameAndOffset(hi, lo) ?? unnamed]
  }
}

/** Lines of Linux 6.12's /proc/kallsyms, without CONFIG_KALLSYMS_ALL. */
const kernel = `\
ffffffff81000000 T startup_64
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000060 T __startup_64
ffffffff81000390 T startup_64_setup_gdt_idt
ffffffff812a1400 T blake2s_compress_generic
ffffffff812a1400 W blake2s_compress
ffffffff812a2ae0 T sha1_init
ffffffff8159fcf0 T _raw_spin_unlock_irqrestore
ffffffff8159fcf0 T __lock_text_start
ffffffff8159fd10 T _raw_write_unlock_irqrestore
ffffffff815a05c0 T __do_softirq
ffffffff815a05c0 T __kprobes_text_end
ffffffff815a05c0 T __kprobes_text_start
ffffffff815a05c0 T __softirqentry_text_start
ffffffff815a05d6 T __softirqentry_text_end
ffffffff81800000 T _etext
ffffffff81800000 D __start_rodata
ffffffff81975338 D __start_ro_after_init
ffffffff81be8000 t set_reset_devices
ffffffff81be8000 T _sinittext
ffffffff81be8020 t debug_kernel
ffffffff81c3f0c5 T _einittext
ffffffff81c9e420 D __start_mcount_loc
`

t.test('as the kernel that the lines are of', async t => {
  const cases: [address: bigint, ps: string, pS: string][] = [
    [0xffffffff8159fcf4n, '_raw_spin_unlock_irqrestore', '_raw_spin_unlock_irqrestore+0x4/0x20'],
    // Of aliases the first; a symbol ends where the next address is.
    [0xffffffff81000000n, 'startup_64', 'startup_64+0x0/0x60'],
    [0xffffffff8100005fn, 'startup_64', 'startup_64+0x5f/0x60'],
    [0xffffffff812a1400n, 'blake2s_compress_generic', 'blake2s_compress_generic+0x0/0x16e0'],
    [0xffffffff815a05d5n, '__do_softirq', '__do_softirq+0x15/0x16'],
    [0xffffffff81be8000n, 'set_reset_devices', 'set_reset_devices+0x0/0x20'],
    // What is no function has no name, though symbols stand there.
    [0xffffffff80ffffffn, '0xffffffff80ffffff', '0xffffffff80ffffff'],
    [0xffffffff81800000n, '0xffffffff81800000', '0xffffffff81800000'],
    [0xffffffff81975340n, '0xffffffff81975340', '0xffffffff81975340'],
    [0xffffffff81c3f0c4n, 'debug_kernel', 'debug_kernel+0x570a4/0x570a5'],
    [0xffffffff81c3f0c5n, '0xffffffff81c3f0c5', '0xffffffff81c3f0c5'],
    [0xffffffff81c9e421n, '0xffffffff81c9e421', '0xffffffff81c9e421'],
    [0xffffffffffffffffn, '0xffffffffffffffff', '0xffffffffffffffff'],
    [0xf00ffffffffn, '0xf00ffffffff', '0xf00ffffffff'],
    [0n, '0x0', '0x0'],
  ]
  const lines = kernel.split('\n')
  for (const [name, text] of [
    ['plain', kernel],
    ['gzipped', zlib.gzipSync(kernel)],
    ['with CRs', kernel.replaceAll('\n', '\r\n')],
    ['without the last line feed', kernel.trimEnd()],
    // System.map sorts aliases otherwise: `__lock_text_start` before `_raw_spin_unlock_irqrestore`.
    ['as nm sorts', lines.toSorted((a, b) => (a.slice(19) < b.slice(19) ? -1 : 1)).join('\n')],
  ] as const) {
    const print = printer(t, text)
    for (const [address, ...texts] of cases) t.same(print(address), texts, `${name}: ${address}`)
  }
})

t.test('with CONFIG_KALLSYMS_ALL, the whole image has names', async t => {
  const print = printer(
    t,
    `\
0000000000000000 A fixed_percpu_data
0000000000000000 D __per_cpu_start
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81800000 T _etext
ffffffff82000000 D init_task
ffffffff82004000 d bh_lock
ffffffff83000000 B _end
ffffffff84000000 D __something
`,
  )
  t.same(print(0x10n)[1], '0x10')
  t.same(print(0xffffffff81000001n)[1], '_stext+0x1/0x800000')
  t.same(print(0xffffffff82003fffn)[1], 'init_task+0x3fff/0x4000')
  t.same(print(0xffffffff82ffffffn)[1], 'bh_lock+0xffbfff/0xffc000')
  t.same(print(0xffffffff83000000n)[1], '0xffffffff83000000')
  t.same(print(0xffffffff84000001n)[1], '0xffffffff84000001')
})

t.test('modules', async t => {
  const print = printer(
    t,
    `${kernel}\
ffffffffc0405020 d nvme_data\t[nvme]
ffffffffc0400100 t nvme_poll\t[nvme]
ffffffffc0400000 t nvme_irq\t[nvme]
ffffffffc0400000 t __alias\t[nvme]
ffffffffc0400080 t $x\t[nvme]
ffffffffc0400090 a absolute\t[nvme]
ffffffffc0300000 t snd_open\t[snd]
ffffffffc0500000 t ftrace_trampoline\t[__builtin__ftrace]
ffffffffc0600000 t bpf_prog_6deef7357e7b4530_sd_fw\t[bpf]
ffffffffc0600040 t bpf_prog_33e8ab2c7b1a7ba4\t[bpf]
ffffffffffffff00 t last\t[snd]
`,
  )
  const cases: [address: bigint, ps: string, pS: string][] = [
    // The first of aliases, whatever its name.
    [0xffffffffc0400004n, 'nvme_irq [nvme]', 'nvme_irq+0x4/0x100 [nvme]'],
    // The last one ends with its page.
    [0xffffffffc0400fffn, 'nvme_poll [nvme]', 'nvme_poll+0xeff/0xf00 [nvme]'],
    [0xffffffffc0401000n, '0xffffffffc0401000', '0xffffffffc0401000'],
    [0xffffffffc0405020n, 'nvme_data [nvme]', 'nvme_data+0x0/0xfe0 [nvme]'],
    [0xffffffffc0300001n, 'snd_open [snd]', 'snd_open+0x1/0x1000 [snd]'],
    // What kallsyms lists as modules' without there being any.
    [0xffffffffc0500004n, '0xffffffffc0500004', '0xffffffffc0500004'],
    [
      0xffffffffc0600004n,
      'bpf_prog_6deef7357e7b4530_sd_fw',
      'bpf_prog_6deef7357e7b4530_sd_fw+0x4/0x40',
    ],
    [0xffffffffffffff80n, 'last [snd]', 'last+0x80/0x100 [snd]'],
    [0xffffffff8159fcf4n, '_raw_spin_unlock_irqrestore', '_raw_spin_unlock_irqrestore+0x4/0x20'],
  ]
  for (const [address, ...texts] of cases) t.same(print(address), texts, address.toString(16))
})

t.test('a module with a name like the first line', async t => {
  const print = printer(
    t,
    `\
ffffffff81000000 T _stext
ffffffff81800000 T _etext
ffffffffc0300000 t one\t[ffff]
ffffffff81000040 t own
ffffffffc0301000 t two\t[ffff]
`,
  )
  t.same(print(0xffffffffc0301000n)[1], 'two+0x0/0x1000 [ffff]')
})

t.test('lines that somebody cut out: no name for what may lie behind the last', async t => {
  const print = printer(t, '0000000000001000 T first\n0000000000001800 T last\n')
  t.same(print(0xfffn)[1], '0xfff')
  t.same(print(0x1004n)[1], 'first+0x4/0x800')
  t.same(print(0x1fffn)[1], 'last+0x7ff/0x800')
  t.same(print(0x2000n)[1], '0x2000')
})

t.test('any table, against what the kernel does with it', async t => {
  const random = randomFor(t)
  const base = 0xffffffc0n
  for (let round = 0; round < 60; round++) {
    const size = random.between(1, 120)
    const symbols = Array.from({ length: random.between(0, 60) }, (_, i) => ({
      address: base + BigInt(random.below(size)),
      type: random.pick(['t', 'T', 'T', 'w', 'W']),
      name: random
        .pick(['f#', '_f#', '__f#', '___f#', '__start_#', '__#_end', '__end_#', '_#_start'])
        .replace('#', String(i)),
    }))
    symbols.push({ address: base, type: 'T', name: '_stext' })
    symbols.push({ address: base + BigInt(size), type: 'T', name: '_etext' })
    const text = symbols.map(
      s => `${s.address.toString(16).padStart(16, '0')} ${s.type} ${s.name}\n`,
    )
    const print = printer(t, text.join(''))

    // scripts/kallsyms.c, compare_symbols.
    const rank = ({ type, name }: (typeof symbols)[0]): number[] => [
      /w/i.test(type) ? 1 : 0,
      name.length >= 8 && /^__(start_|stop_|end_|.*_start$|.*_end$)/.test(name) ? 1 : 0,
      /^_*/.exec(name)![0].length,
    ]
    const table = symbols.toSorted((a, b) => {
      const [x, y] = [rank(a), rank(b)]
      return Number(a.address - b.address) || x[0] - y[0] || x[1] - y[1] || x[2] - y[2]
    })
    for (let address = base - 2n; address < base + BigInt(size) + 2n; address++) {
      let expected = `0x${address.toString(16)}`
      if (address >= base && address < base + BigInt(size)) {
        const start = table.findLast(s => s.address <= address)!.address
        const first = table.find(s => s.address === start)!
        const end = table.find(s => s.address > start)!.address
        expected = `${first.name}+0x${(address - start).toString(16)}/0x${(end - start).toString(16)}`
      }
      if (print(address)[1] !== expected) t.same(print(address)[1], expected, text.join(''))
    }
  }
})

t.test('files that name nothing are refused', async t => {
  const dir = t.testdir({
    folder: {},
    empty: '',
    zeros: kernel.replaceAll(/^f.{15}/gm, '0000000000000000'),
    prose: 'Dear reader,\nffffffff8159fcf4 is an address.\n\xff\xfe',
    short: 'ffff T too_short_an_address\n',
    long: 'ffffffff815a05c000 T too_long_an_address\n',
    endless: `ffffffff815a05c0 T ${'x'.repeat(512)}\n`,
    escape: 'ffffffff815a05c0 T \x1b[2J\nffffffff815a05c0 T a\x1b\nffffffff815a05c0 T a\t[b\x07]\n',
    odd: 'ffffffff815a05c0 T a [\nffffffff815a05c0 T a []\nffffffff815a05c0 T a b\nffffffff815a05c0 T \nffffffff815a05c0',
    random: randomFor(t).bytes(1 << 16),
    cut: zlib.gzipSync(kernel).subarray(0, 100),
    garbage: Buffer.from('\x1f\x8bgarbage', 'latin1'),
    bomb: zlib.gzipSync(Buffer.alloc(130 << 20)),
  })
  const refusal = (name: string): { name: string; message: string } => {
    try {
      loadSymbols(`${dir}/${name}`)
    } catch (error) {
      return error as Error
    }
    return { name: 'none', message: '' }
  }
  for (const [name, why] of [
    ['missing', 'no such file'],
    ['folder', 'is a folder'],
    ['empty', /^no symbols in it; /],
    ['zeros', /^all addresses in it are 0: .*as root/],
    ['prose', /^no symbols/],
    ['short', /^no symbols/],
    ['long', /^no symbols/],
    ['endless', /^no symbols/],
    ['escape', /^no symbols/],
    ['odd', /^no symbols/],
    ['random', /^no symbols/],
    ['cut', /^cannot be inflated: unexpected end of file/],
    ['garbage', /^cannot be inflated: /],
    ['bomb', /^more than 128 MiB/],
  ] as const) {
    const error = refusal(name)
    t.equal(error.name, 'StoreError', name)
    t.ok(error.message.startsWith(`${dir}/${name}: `), name)
    t.match(error.message.slice(dir.length + name.length + 3), why)
    t.notMatch(error.message, /\n/)
  }
})

t.test('a file without an end is not read to it', async t => {
  t.throws(() => loadSymbols('/dev/zero'), { message: /more than 128 MiB/ })
})
