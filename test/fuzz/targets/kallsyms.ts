/** A file of symbols, plain or gzipped. */
import assert from 'node:assert/strict'
import zlib from 'node:zlib'
import { loadSymbols } from '#src/decoders/kallsyms.js'
import { Scratch, type Target } from '../target.js'

const lines = `\
ffffffff81000000 T _stext
ffffffff81000000 W startup_64
ffffffff81000060 T __startup_64
ffffffff81000070 t __start_x
ffffffff81800000 T _etext
ffffffff81800000 D __start_rodata
ffffffff81be8000 T _sinittext
ffffffff81c3f0c5 T _einittext
ffffffff82000000 B _end
ffffffffc0001000 t init	[module]
ffffffffc0001100 d data	[module]
ffffffffc0002100 t prog	[bpf]
`
const file = new Scratch()

export const target: Target = {
  seeds: () =>
    [lines, lines.replaceAll('ffffffff', ''), '0000000000000000 T x\n', ''].flatMap(text => [
      Buffer.from(text),
      zlib.gzipSync(text),
    ]),
  words: [
    ' T ',
    ' t ',
    ' W ',
    '\t[',
    ']\n',
    '_stext',
    '_etext',
    '_end',
    '__init_begin',
    '__start_',
    '__stop_',
    'fffffffffffff',
    '\x1f\x8b',
  ],
  longest: 8192,
  run(bytes) {
    file.write(bytes)
    const symbols = loadSymbols(file.path)
    const halves = [0, 1, 0x7fffffff, 0x81000061, 0xc0001001, 0xffffffff]
    for (const hi of [0, 0xffffffff, 1])
      for (const lo of halves) {
        const name = symbols.name(hi, lo)
        const called = symbols.nameAndOffset(hi, lo)
        assert.equal(name === null, called === null)
        if (name === null || called === null) continue
        // A name of 511, a module of 63, and two numbers.
        assert.ok(name.length > 0 && name.length < 600 && called.length < 640)
        assert.ok(called.startsWith(name.split(' ')[0]), `${called} is in ${name}`)
        assert.ok(!called.includes('\n'))
      }
  },
}
