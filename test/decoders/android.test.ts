/** Android's log in pmsg: as logcat prints it, whatever lies around and between the records. */
import t from 'tap'
import { AndroidLog } from '#src/decoders/android.js'
import { file, pstorefs } from '../program.js'
import { randomFor } from '../random.js'

process.env.TZ = 'UTC'

interface Entry {
  id?: number
  pid?: number
  tid?: number
  sec?: number
  nsec?: number
}

const record = (payload: Buffer, entry: Entry = {}): Buffer => {
  const { id = 0, pid = 1234, tid = 5678, sec = 1_700_000_000, nsec = 42_000_000 } = entry
  const header = Buffer.alloc(18)
  header.write('l')
  header.writeUInt16LE(18 + payload.length, 1)
  header.writeUInt16LE(1000, 3)
  header.writeUInt16LE(pid, 5)
  header[7] = id
  header.writeUInt16LE(tid, 8)
  header.writeUInt32LE(sec, 10)
  header.writeUInt32LE(nsec, 14)
  return Buffer.concat([header, payload])
}
const text = (priority: number, tag: string, message: string, entry: Entry = {}): Buffer =>
  record(Buffer.from(`${String.fromCharCode(priority)}${tag}\0${message}\0`), entry)
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value)
  return bytes
}
const int = (value: number): Buffer => Buffer.concat([Buffer.of(0), u32(value)])
const string = (value: string): Buffer =>
  Buffer.concat([Buffer.of(2), u32(Buffer.byteLength(value)), Buffer.from(value)])
const list = (...values: Buffer[]): Buffer =>
  Buffer.concat([Buffer.of(3, values.length), ...values])
const event = (tag: number, value: Buffer, id = 2): Buffer =>
  record(Buffer.concat([u32(tag), value]), { id })

const prefix = '11-14 22:13:20.042  1234  5678'
const decode = (bytes: Buffer): string => new AndroidLog().decode(bytes).toString()

t.test('records', t => {
  for (const [what, bytes, lines] of [
    ['a line', text(4, 'Tag', 'hello'), [`${prefix} I Tag     : hello`]],
    ['a long tag', text(6, 'ActivityManager', 'x'), [`${prefix} E ActivityManager: x`]],
    [
      'several lines',
      text(3, 'T', 'one\ntwo\n\nthree\n'),
      ['one', 'two', '', 'three'].map(line => `${prefix} D T       : ${line}`),
    ],
    ['no message', text(7, 'T', ''), [`${prefix} F T       : `]],
    ['no end', record(Buffer.from('\x05Tag\0cut of')), [`${prefix} W Tag     : cut of`]],
    ['no NUL', record(Buffer.from('\x02what')), [`${prefix} V what    : `]],
    ['UTF-8', text(2, 'ü', 'größer'), [`${prefix} V ü      : größer`]],
  ] as const)
    t.equal(decode(bytes), `--------- beginning of main\n${lines.join('\n')}\n`, what)
  const long = Buffer.alloc(9, 1)
  long.writeBigInt64LE(-5n, 1)
  const float = Buffer.alloc(5, 4)
  float.writeFloatLE(0.5, 1)
  for (const [bytes, line] of [
    [event(2722, int(-7)), 'I [2722]  : -7'],
    [event(2722, list(int(1), string('two'), long, float)), 'I [2722]  : [1,two,-5,0.500000]'],
    [event(1, list(list(), list(int(3)))), 'I [1]     : [[],[3]]'],
    [event(1, Buffer.alloc(0)), 'I [1]     : '],
    [event(1, list(int(3)).subarray(0, 5)), 'I [1]     : [!'],
    [event(1, Buffer.of(2, 255, 255, 255, 255, 0x61)), 'I [1]     : a!'],
    [event(1, Buffer.of(9)), 'I [1]     : !'],
  ] as const)
    t.equal(decode(bytes), `--------- beginning of events\n${prefix} ${line}\n`, line)
  t.match(decode(event(1, int(1), 6)), /^--------- beginning of security\n.* W \[1\] {5}: 1\n$/)
  // Lists in lists, as deep as a record can have them.
  t.match(decode(event(1, Buffer.alloc(4000, Buffer.of(3, 1)))), /\[{2000}!\n$/)
  t.end()
})

t.test('a long tag before many lines', t => {
  // logcat keeps 127 bytes of what stands before a line: else 4 KiB would make 4 MB of text.
  const decoded = decode(text(4, 'T'.repeat(2000), '\n'.repeat(2000)))
  const [, first, ...rest] = decoded.split('\n')
  t.equal(first, `${prefix} I ${'T'.repeat(94)}`)
  t.equal(rest.length, 2000)
  t.ok(rest.slice(0, -1).every(line => line === first))
  t.end()
})

t.test('each buffer begins once', t => {
  const entries = [0, 3, 0, 3, 1].map((id, i) => text(4, 'T', String(i), { id }))
  t.same(
    decode(Buffer.concat(entries))
      .split('\n')
      .map(line => line.replace(prefix, '')),
    [
      '--------- beginning of main',
      ' I T       : 0',
      '--------- beginning of system',
      ' I T       : 1',
      ' I T       : 2',
      ' I T       : 3',
      '--------- beginning of radio',
      ' I T       : 4',
      '',
    ],
  )
  t.end()
})

t.test('cut, damaged, and in any pieces', t => {
  const random = randomFor(t)
  const messages = Array.from({ length: 60 }, (_, i) => `message ${i} all l${'l'.repeat(i)}`)
  const entries = messages.map((message, i) =>
    i % 7 === 3 ? event(i, string(message)) : text(4, 'll', message, { id: i % 3 === 1 ? 3 : 0 }),
  )
  const all = Buffer.concat(entries)
  const found = (output: string): string[] => output.match(/message \d+ all l+/g) ?? []
  for (let round = 0; round < 300; round++) {
    // A ring cuts the first record, a reader sees the last before it is whole.
    const from = random.below(all.length)
    const log = new AndroidLog()
    let output = ''
    for (let at = from; at < all.length;) {
      const end = Math.min(all.length, at + random.between(1, random.pick([3, 100, 5000])))
      output += log.decode(all.subarray(at, end)).toString('latin1')
      at = end
    }
    let end = 0
    const whole = messages.filter((_, i) => (end += entries[i].length) - entries[i].length >= from)
    if (found(output).join() !== whole.join()) t.fail(`from ${from}: ${found(output).join()}`)
    if (log.skipped) t.fail(`${log.skipped} bytes skipped`)
  }
  let twice = 0
  for (let round = 0; round < 300; round++) {
    const damaged = Buffer.from(all)
    const at = random.below(all.length)
    const length = random.between(1, 30)
    random.bytes(length).copy(damaged, at)
    let end = 0
    const untouched = messages.filter((_, i) => {
      const start = end
      end += entries[i].length
      return end <= at || start >= at + length
    })
    const shown = new Set(found(decode(damaged)))
    const missing = untouched.filter(message => !shown.has(message))
    // One that comes right before damage may not be told from it; and the message is full of what records begin
    // with, so that rarely a damaged length leads into the next one.
    if (missing.length > 1) twice++
    if (missing.length > 2 || twice > 1) t.fail(`damage at ${at}: ${missing.join()}`)
  }
  t.pass('whole records are printed')
  t.end()
})

t.test('garbage is no log, and takes no time', t => {
  const random = randomFor(t)
  const header = text(4, 'T', 'x'.repeat(4000)).subarray(0, 20)
  for (const bytes of [
    random.bytes(1 << 20),
    Buffer.alloc(1 << 20, 'l'),
    Buffer.alloc(1 << 20, header),
    Buffer.alloc(1 << 20, text(4, '', 'l')),
  ]) {
    const log = new AndroidLog()
    for (let at = 0; at < bytes.length; at += 65536) log.decode(bytes.subarray(at, at + 65536))
  }
  t.pass('reads four megabytes of it')
  t.end()
})

t.test('cat --android', t => {
  const layout = ['--record-size', '0', '--console-size', '1K', '--ftrace-size', '0']
  for (const ecc of ['0', '16']) {
    const options = [...layout, '--pmsg-size', '4K', '--ecc', ecc]
    const region = file(t, Buffer.alloc(5120))
    pstorefs(['format', region, ...options])
    const entries = Array.from({ length: 100 }, (_, i) => text(4, 'T', `message ${i}`))
    pstorefs(['write', 'pmsg', region, ...options], Buffer.concat(entries))
    const { status, stdout, stderr } = pstorefs([
      'cat',
      '--android',
      region,
      'pmsg-ramoops-0',
      ...options,
    ])
    t.same([status, stderr], [0, ''])
    const lines = stdout.toString().trimEnd().split('\n')
    t.equal(lines[0], '--------- beginning of main')
    t.equal(lines.at(-1), `${prefix} I T       : message 99`)
    const first = Number(/\d+$/.exec(lines[1])![0])
    t.equal(lines.length - 1, 100 - first, `from message ${first} on, where the ring begins`)
    pstorefs(['write', 'console', region, ...options], Buffer.from('text\n'))
    const wrong = pstorefs(['cat', '--android', region, 'console-ramoops-0', ...options])
    t.same(
      [wrong.status, wrong.stderr],
      [1, "pstorefs: console-ramoops-0: --android: only pmsg holds Android's log\n"],
    )
    pstorefs(['erase', region, 'pmsg-ramoops-0', ...options])
    pstorefs(['write', 'pmsg', region, ...options], Buffer.from('plain text\n'))
    const plain = pstorefs(['cat', '--android', region, 'pmsg-ramoops-0', ...options])
    t.equal(plain.status, 1)
    t.match(plain.stderr, /holds no Android log; try without --android\n$/)
  }
  t.end()
})
