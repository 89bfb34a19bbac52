/** The line before a dump, as sscanf reads it (fixtures/dmesg-header-variants, by the kernel itself). */
import t from 'tap'
import { decodeDmesgHeader } from '#src/backends/ramoops/dmesg-header.js'

const cases: [
  line: string,
  sec: string | null,
  nsec?: number,
  compressed?: boolean,
  body?: string,
][] = [
  ['====1700000000.123456-D\nbody', '1700000000', 123456000, false, 'body'],
  ['====1700000011.123456-C\nbody', '1700000011', 123456000, true, 'body'],
  // Kernels before 3.4 wrote no type.
  ['====1700000001.123456\nbody', '1700000001', 123456000, false, 'body'],
  // The fraction is a number of microseconds, not digits after a point.
  ['====1700000002.5-D\nbody', '1700000002', 5000, false, 'body'],
  ['====1700000003.123456-X\nbody', '1700000003', 123456000, false, 'body'],
  // `\n` in a format is any white space, also none.
  ['====1700000004.123456-D\n\n \t\n  body', '1700000004', 123456000, false, 'body'],
  ['====1700000004.123456-D\n\xa0body', '1700000004', 123456000, false, 'body'],
  ['====1700000005.123456-Dbody', '1700000005', 123456000, false, 'body'],
  ['====1700000006.123456body', '1700000006', 123456000, false, 'body'],
  ['====0.000000-D\nbody', '0', 0, false, 'body'],
  ['====-5.000000-D\nbody', '-5', 0, false, 'body'],
  ['==== 1700000007.1-D\nbody', '1700000007', 1000, false, 'body'],
  ['====1700000007. 1-D\nbody', '1700000007', 1000, false, 'body'],
  // Products are kept modulo 2^32, sums modulo 2^64.
  ['====1700000008.999999999-D\nbody', '1700000008', 3567586328, false, 'body'],
  ['====1700000018.4294967296000-D\nbody', '1700000018', 0, false, 'body'],
  ['====99999999999999999999.1-D\nbody', '7766279631452241919', 1000, false, 'body'],
  ['====9223372036854775808.1-D\nbody', '-9223372036854775808', 1000, false, 'body'],
  // Any one byte is a type, even a blank or a line feed.
  ['====1700000012.123456- \nbody', '1700000012', 123456000, false, 'body'],
  ['====1700000012.1-\nbody', '1700000012', 1000, false, 'body'],
  ['====1700000013.123456--D\nbody', '1700000013', 123456000, false, 'D\nbody'],
  ['====1700000014.123456 -D\nbody', '1700000014', 123456000, false, '-D\nbody'],
  ['====1700000017.1-D\n\0\0body', '1700000017', 1000, false, '\0\0body'],
  // The text may end anywhere.
  ['====1700000017.1-D', '1700000017', 1000, false, ''],
  ['====1700000017.1-', '1700000017', 1000, false, '-'],
  ['====1700000017.1-\0body', '1700000017', 1000, false, '-\0body'],
  ['====1700000017.1', '1700000017', 1000, false, ''],
  ['====1700000009-D\nno fraction', null],
  ['====1700000009.-D\nno fraction', null],
  [' ====1700000010.1-D\n', null],
  ['====0x10.1-D\n', null],
  ['====1700000015.+1-D\n', null],
  ['====+1700000015.1-D\n', null],
  ['====1700000015.-1-D\n', null],
  ['====- 5.1-D\n', null],
  ['===', null],
  ['====', null],
  ['====-', null],
  ['', null],
]

for (const [line, sec, nsec, compressed, body] of cases)
  t.test(JSON.stringify(line), async t => {
    const bytes = Buffer.from(line, 'latin1')
    const header = decodeDmesgHeader(bytes)
    if (sec === null) {
      t.equal(header, null)
      return
    }
    t.same(header?.time, { sec: BigInt(sec), nsec })
    t.equal(header?.compressed, compressed)
    t.equal(bytes.toString('latin1', header?.length), body)
  })

t.test('a zone full of digits takes no time to speak of', async t => {
  const header = decodeDmesgHeader(Buffer.from(`====${'9'.repeat(1 << 20)}.1-D\n`))
  t.equal(header?.time.nsec, 1000)
})
