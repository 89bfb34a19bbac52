/** The zone header: what is encoded is decoded, and numbers are judged before they are used. */
import t from 'tap'
import {
  decodeZoneHeader,
  encodeNumbers,
  encodeSignature,
  isVersionCode,
  judgeHeader,
  numbersOffset,
  wrongBits,
  zoneHeaderSize,
  type ZoneHeader,
} from '#src/backends/ramoops/zone-header.js'
import { zoneKinds, type ZoneKind } from '#src/pstore/types.js'

const dataLength = 100
const version = 0x60c75

t.test('decode gives what encode was given, in both byte orders', async t => {
  for (const endian of ['little', 'big'] as const)
    for (const kind of zoneKinds) {
      const bytes = Buffer.alloc(3 + zoneHeaderSize)
      encodeSignature(kind, endian).copy(bytes, 3)
      bytes.set(encodeNumbers(7, 0x80000001, endian), 3 + numbersOffset)
      const code = kind === 'ftrace' ? 0x60c00 : 0
      t.same(decodeZoneHeader(bytes, 3, endian), { code, start: 7, size: 0x80000001 })
    }
  t.equal(encodeSignature('console', 'little').toString(), 'DBGC')
})

t.test('judging a header', async t => {
  const cases: [
    kind: ZoneKind,
    code: number,
    start: number,
    size: number,
    state: ZoneHeader['state'],
  ][] = [
    ['dmesg', 0, 0, 0, 'empty'],
    ['console', 0, 40, 40, 'valid'],
    ['console', 0, 0, dataLength, 'valid'],
    // Linux lets start stand at the end of the data, though its writer never leaves it there.
    ['console', 0, dataLength, dataLength, 'valid'],
    ['console', 0, 40, dataLength + 1, 'invalid'],
    ['console', 0, 41, 40, 'invalid'],
    ['pmsg', 0, 1, 0, 'invalid'],
    ['tty', version, 40, 40, 'unsigned'],
    ['ftrace', version, 40, 40, 'valid'],
    ['ftrace', version, 0, 0, 'empty'],
    ['ftrace', version, 41, 40, 'invalid'],
    // Versions that no kernel has: none, 1.x and one of four bytes.
    ['ftrace', 0, 40, 40, 'unsigned'],
    ['ftrace', 0x1ffff, 40, 40, 'unsigned'],
    ['ftrace', 0x1000000, 40, 40, 'unsigned'],
    // 16.0.0: a console's signature with one bit wrong.
    ['ftrace', 0x100000, 40, 40, 'unsigned'],
  ]
  for (const [kind, code, start, size, state] of cases)
    t.match(
      judgeHeader({ code, start, size }, kind, dataLength),
      {
        state,
        start: state === 'valid' ? start : 0,
        size: state === 'valid' ? size : 0,
      },
      `${kind} ${code} ${start} ${size}: ${state}`,
    )
})

t.test('versions that kernels have had, or may soon have', async t => {
  for (const [code, has] of [
    [0x020622, false],
    [0x020623, true],
    [0x020723, false],
    [0x030000, true],
    [0x041300, true],
    [0x0414ff, true],
    [0x060c75, true],
    [0x07020d, true],
    [0x082800, true],
    [0x082900, false],
    [0x090000, false],
    [0xff060c75, false],
  ] as const)
    t.equal(isVersionCode(code), has, code.toString(16))
})

t.test('wrong bits of a signature', async t => {
  for (const [code, bits] of [
    [0, 0],
    [0x100000, 1],
    [0x80000000, 1],
    [0x80000003, 3],
    [0xffffffff, 32],
  ] as const)
    t.equal(wrongBits(code), bits, code.toString(16))
})
