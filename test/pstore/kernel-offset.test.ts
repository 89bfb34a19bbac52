/** How far a kernel was moved, as its log says. */
import t from 'tap'
import { kernelOffsetsIn } from '#src/pstore/kernel-offset.js'

t.test('the lines that kernels write', async t => {
  for (const [text, found] of [
    [
      '<0>[ 3.8] Kernel Offset: 0x19600000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)\n',
      [[0x19600000n, 0xffffffff81000000n]],
    ],
    ['Kernel Offset: 0x2ba8 from 0xffff800080000000', [[0x2ba8n, 0xffff800080000000n]]],
    ['Kernel Offset: 0x6000000 from 0xc1000000', [[0x6000000n, 0xc1000000n]]],
    ['Kernel Offset: disabled', []],
    ['Kernel Offset: 0x from 0x', []],
    ['Kernel Offset: 0x10000000000000000 from 0xc1000000', []],
    [
      'Kernel Offset: 0x1 from 0x2\nKernel Offset: 0x3 from 0x4\n',
      [
        [1n, 2n],
        [3n, 4n],
      ],
    ],
    ['', []],
  ] as const)
    t.same(
      kernelOffsetsIn(Buffer.from(text)),
      found.map(([offset, base]) => ({ offset, base })),
      text,
    )
})
