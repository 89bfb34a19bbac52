/** Variables' names as sscanf reads them, and the ids that file names carry. */
import t from 'tap'
import {
  encodeDumpName,
  encodePieceName,
  decodeDumpName,
  decodePieceName,
  recordId,
  type DumpName,
} from '#src/backends/efi/names.js'
import { recordTypes } from '#src/pstore/types.js'
import { randomFor } from '../../random.js'

const max = 2n ** 64n - 1n

/** Name, type, part, count, seconds, compressed, id. */
type Case = [string, string, number, number, bigint, boolean, bigint]

t.test('names that Linux takes', async t => {
  const cases: Case[] = [
    ['dump-type0-1-1-1795403993-C', 'dmesg', 1, 1, 1795403993n, true, 179540399301001n],
    ['dump-type0-13-2-1795403994-D', 'dmesg', 13, 2, 1795403994n, false, 179540399413002n],
    // Older kernels wrote no letter, the oldest no count.
    ['dump-type0-2-3-1400000000', 'dmesg', 2, 3, 1400000000n, false, 140000000002003n],
    ['dump-type0-2-1300000000', 'dmesg', 2, 0, 1300000000n, false, 130000000002000n],
    ['dump-type1-1-1-5-D', 'mce', 1, 1, 5n, false, 501001n],
    ['dump-type9-1-1-5-D', 'tty', 1, 1, 5n, false, 501001n],
    // Any other letter means plain; what follows is not looked at.
    ['dump-type0-1-1-5-X', 'dmesg', 1, 1, 5n, false, 501001n],
    ['dump-type0-1-1-5-', 'dmesg', 1, 1, 5n, false, 501001n],
    ['dump-type0-1-1-5-Cab', 'dmesg', 1, 1, 5n, true, 501001n],
    ['dump-type0-1-1-5C', 'dmesg', 1, 1, 5n, false, 501001n],
    ['dump-type0-1-5-D', 'dmesg', 1, 0, 5n, false, 501000n],
    ['dump-type 0- 1- 1- 5-C', 'dmesg', 1, 1, 5n, true, 501001n],
    // A negative count borrows from the part.
    ['dump-type0-1--1-5-C', 'dmesg', 1, -1, 5n, true, 500999n],
    // Numbers are cut to their fields, and the id to 64 bits.
    ['dump-type4294967296-4294967297-1-5-C', 'dmesg', 1, 1, 5n, true, 501001n],
    ['dump-type0-1-4294967295-5-C', 'dmesg', 1, -1, 5n, true, 500999n],
    ['dump-type0-1-1-18446744073709551621-C', 'dmesg', 1, 1, 5n, true, 501001n],
    ['dump-type0-0-0-18446744073709551615-D', 'dmesg', 0, 0, max, false, max + 1n - 100000n],
    [
      'dump-type0-0-1615-184467440737095-D',
      'dmesg',
      0,
      1615,
      184467440737095n,
      false,
      18446744073709501615n,
    ],
  ]
  for (const [name, type, part, count, sec, compressed, id] of cases) {
    const dump = decodeDumpName(name)
    t.same(dump, { type, part, count, sec, compressed }, name)
    if (dump) t.equal(recordId(dump), id, `id of ${name}`)
  }
})

t.test('the largest id is 2^64 - 1, and the next is 0', async t => {
  const sec = 184467440737095n
  const id = (count: number): bigint =>
    recordId({ type: 'dmesg', part: 51, count, sec, compressed: false })
  t.equal(id(615), max)
  t.equal(id(616), 0n)
})

t.test('names that are no record', async t => {
  for (const name of [
    '',
    'dump-type',
    'dump-type0',
    'dump-type0-1',
    'dump-typeX-1-1-5-D',
    'dump-type-1-1-1-5-D',
    'dump-type+0-1-1-5-D',
    'dump-type0-1-+1-5-D',
    'dump-type0-1--5',
    'Dump-type0-1-1-5-D',
    ' dump-type0-1-1-5-D',
    'BootOrder',
    // Not known to Linux.
    'dump-type10-1-1-5-D',
    'dump-type4294967295-1-1-5-D',
    // Nothing that is a path or a control character gets any further.
    'dump-type0-1-1-5-/',
    'dump-type0-1-1-5-D/../../etc/passwd',
    'dump-type0-1-1-5-D\n',
    'dump-type0-1\n-1-5-D',
    'dump-type0-1-1-5-D\x1b[2J',
    'dump-type0-1-1-5-\x7f',
    'dump-type0-1-1-5-\u00dc',
    'dump-type0-\u0661-1-5-D',
    // Longer than the kernel's buffer.
    `dump-type0-1-1-${'5'.repeat(60)}`,
  ])
    t.equal(decodeDumpName(name), null, JSON.stringify(name))
})

t.test('what is formatted is parsed to the same', async t => {
  const random = randomFor(t)
  const u64 = (): bigint => random.bytes(8).readBigUInt64LE() >> BigInt(random.below(64))
  for (let i = 0; i < 2000; i++) {
    const dump: DumpName = {
      // The boot log is ramoops's alone.
      type: random.pick(recordTypes.filter(type => type !== 'boot-log')),
      part: Number(BigInt.asUintN(32, u64())),
      count: Number(BigInt.asIntN(32, u64())),
      sec: u64(),
      compressed: random.below(2) === 1,
    }
    const name = encodeDumpName(dump)
    t.strictSame(decodeDumpName(name), dump, name)
    if (!t.passing()) return
  }
})

t.test('pieces of rings', async t => {
  const last = { type: 'tty', position: 2n ** 62n, length: 99999 } as const
  t.same(decodePieceName(encodePieceName(last)), last)
  for (const name of ['tty-4611686018427387905-1', 'tty-00-1', 'tty-0-0', 'dmesg-0-1', 'tty-0-1\n'])
    t.equal(decodePieceName(name), null, JSON.stringify(name))
})
