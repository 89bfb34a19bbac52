/** Files that list variables: QEMU's JSON, AWS's blob, and what is neither. */
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { crc32c, decodeAwsBlob, findDictionary } from '#src/backends/efi/aws-blob.js'
import { ringGuid, vendorGuid } from '#src/backends/efi/names.js'
import { decodeGuid, encodeGuid } from '#src/backends/guid.js'
import { probeSource, attach, type Backend } from '#src/index.js'
import { blobOf, jsonOf, listOf, wrapped, type Listed } from '../../model/variable-files.js'
import { file, folder } from '../../program.js'
import { attached, errnoOf, shown, variablesOf } from './stores.js'

const globalGuid = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const dump = (part: number, data: string, guid = vendorGuid): Listed => ({
  name: `dump-type0-${part}-1-1700000000-D`,
  guid,
  data: Buffer.from(data),
})
const fileOf = (part: number): string => `dmesg-efi_pstore-17000000000${part}001`

const variables: Listed[] = [
  { name: 'PK', guid: globalGuid, attr: 0x27, data: Buffer.alloc(1000, 5) },
  dump(1, 'one'),
  dump(2, 'not of Linux', globalGuid),
  { name: 'dump-something', guid: vendorGuid, data: Buffer.from('no record') },
  dump(2, 'two'),
  dump(2, 'two again, which no firmware leaves'),
  dump(3, ''),
  dump(4, 'x'.repeat(70_000)),
  { name: 'tty-0-4', guid: ringGuid, data: Buffer.from('ring') },
]

/** Attach to a file, and what was said of it. */
const open = (
  t: Test,
  bytes: string | Uint8Array,
): { backend: Backend; said: string[]; path: string } => {
  const path = file(t, Buffer.from(bytes), 'vars')
  const said: string[] = []
  const report = (line: string): void => void said.push(line.replace(`${path}: `, ''))
  return { backend: attached(t, path, { report, tty_size: 4096 }), said, path }
}

for (const [what, bytes] of [
  ["QEMU's JSON", jsonOf(variables)],
  [
    'the same with capital letters',
    jsonOf(variables).replaceAll(vendorGuid, vendorGuid.toUpperCase()),
  ],
  ["AWS's blob", blobOf(variables)],
  ['the same in lines', blobOf(variables).replace(/.{76}/g, '$&\n')],
  ['the same, decoded', Buffer.from(blobOf(variables), 'base64')],
  ["the AWS CLI's answer", JSON.stringify({ InstanceId: 'i-1', UefiData: blobOf(variables) })],
] as const)
  t.test(what, async t => {
    const { backend, said } = open(t, bytes)
    t.same(shown(backend), { [fileOf(1)]: 'one', [fileOf(2)]: 'two', 'tty-efi_pstore-0': 'ring' })
    t.same(said, [])
    t.ok(backend.readOnly)
    t.equal(
      errnoOf(() => backend.find(fileOf(1))!.erase()),
      'EROFS',
    )
    const all = variablesOf(backend)
    t.equal(
      errnoOf(() => void all.create(vendorGuid, 'x', Buffer.alloc(1))),
      'EROFS',
    )
    t.equal(
      errnoOf(() => all.remove(all.list().dumps[0])),
      'EROFS',
    )
    t.equal(
      errnoOf(() => all.exclusively(() => {})),
      'EROFS',
    )
    t.equal(all.list(), all.list(), 'found once')
  })

t.test('what is written anew is read anew', async t => {
  const listed = file(t, Buffer.from(jsonOf([dump(1, 'one')])), 'vars.json')
  t.match(probeSource(listed).stores, [{ driver: 'efi', evidence: ['a list of variables'] }])
  const { backend, path } = open(t, jsonOf([dump(1, 'one'), dump(2, 'two')]))
  const all = variablesOf(backend)
  const [first, second] = all.list().dumps
  fs.writeFileSync(path, jsonOf([dump(1, 'one'), dump(2, 'another'), dump(3, 'and a third')]))
  t.equal(String(all.read(first)), 'one')
  t.equal(all.read(second), null, 'its bytes are others')
  t.same(Object.values(shown(backend)), ['one', 'another', 'and a third'])
  fs.writeFileSync(path, '{')
  t.throws(() => all.list(), { code: 'EIO', message: /vars: its content is no JSON$/ })
  fs.writeFileSync(path, ' '.repeat(3 * 2 ** 20))
  t.throws(() => all.list(), { message: /is too large .*: more than 2 MiB$/ })
})

t.test('what is broken hides nothing else', async t => {
  const odd = JSON.stringify({
    version: 2,
    variables: [
      null,
      { name: 5, guid: vendorGuid, data: '' },
      { name: 'x', guid: 'no guid', data: '' },
      { name: 'x', guid: vendorGuid, data: 'abc' },
      { name: dump(1, '').name, guid: vendorGuid, attr: 7, data: '6f6e65' },
    ],
  })
  const some = open(t, odd)
  t.same(shown(some.backend), { [fileOf(1)]: 'one' })
  t.same(some.backend.doubts(), [
    '4 variables without a name, a GUID or hexadecimal data: left out',
  ])

  const list = listOf([dump(1, 'one'), dump(2, 'two')])
  for (const cut of [1, 10, 40, 50]) {
    const { backend } = open(t, wrapped(zlib.deflateSync(list.subarray(0, -cut))))
    t.same(shown(backend), { [fileOf(1)]: 'one' })
    t.same(backend.doubts(), ['the list of its variables is cut short'])
  }
  const authenticated = listOf([dump(1, 'one'), { ...dump(2, 'two'), attr: 0x27 }])
  for (const cut of [1, 35, 45])
    t.same(shown(open(t, wrapped(zlib.deflateSync(authenticated.subarray(0, -cut)))).backend), {
      [fileOf(1)]: 'one',
    })
  t.match(open(t, wrapped(zlib.deflateSync(Buffer.alloc(3)))).backend.doubts()[0], /cut short/)
  const path = file(t, Buffer.from(odd), 'vars')
  const backend = attach(`efi:${path}`, {})
  t.equal(Array.from(backend.records()).length, 1, 'without anybody who is told')
  backend.close()
})

t.test('what is none is refused in one line', async t => {
  const blob = Buffer.from(blobOf(variables), 'base64')
  const flipped = Buffer.from(blob)
  flipped[40]! ^= 1
  const wild = Buffer.concat([Buffer.alloc(8, 0xff), Buffer.alloc(8, 0xff)])
  for (const [what, bytes, message] of [
    [
      'other JSON',
      '{"regions": []}',
      /vars: is JSON, but no UEFI variable store: it has neither variables nor UefiData$/,
    ],
    ['text', '{ "a"', /vars: its content is no JSON$/],
    ['another version', '{"version": 3, "variables": []}', /of version 3: only 2 is known$/],
    ['no version', '{"variables": []}', /its content.version is no number/],
    ['no list', '{"version": 2, "variables": 5}', /its content.variables is no array/],
    [
      'much that is none',
      `{"version": 2, "variables": [${'1,'.repeat(25_000)}1]}`,
      /it has too many variables$/,
    ],
    ['a blob cut short', blob.subarray(0, 17), /broken AWS UEFI blob: it ends before its content$/],
    [
      'of another version',
      wrapped(Buffer.alloc(9), 1),
      /AWS UEFI blob of version 1: only 0 is known$/,
    ],
    ['with a wrong sum', flipped, /broken AWS UEFI blob: its checksum is wrong$/],
    [
      'with no stream',
      wrapped(Buffer.alloc(99)),
      /broken AWS UEFI blob: unknown compression method$/,
    ],
    [
      'a bomb',
      wrapped(zlib.deflateSync(Buffer.alloc(2 ** 23))),
      /broken AWS UEFI blob: .*larger than/,
    ],
  ] as const) {
    const path = file(t, Buffer.from(bytes), 'vars')
    t.throws(() => attach(`efi:${path}`, {}), { name: 'StoreError', message }, what)
  }
  t.same(shown(open(t, wrapped(zlib.deflateSync(wild))).backend), {}, 'wild numbers')
})

t.test('the dictionary is taken from where it is installed', async t => {
  const home = folder(t)
  t.equal(findDictionary([home, '/nowhere']), null)
  const dictionary = Buffer.from('dump-type0-1-1-1700000000-D and what all have')
  const where = `${home}/python3.13/site-packages/virt/firmware/aws`
  fs.mkdirSync(where, { recursive: true })
  fs.writeFileSync(`${where}/dict.v0`, dictionary)
  const blob = Buffer.from(blobOf(variables, dictionary))
  const { variables: found } = decodeAwsBlob('vars', blob, () => findDictionary(['/nowhere', home]))
  t.same(
    found.map(({ name, vendor }) => [name, vendor]),
    variables.map(({ name, guid }) => [name, guid]),
  )
  t.throws(() => decodeAwsBlob('vars', blob, () => null), {
    message:
      /^vars: is an AWS UEFI blob, whose dictionary is not here: install python3-virt-firmware, /,
  })
  t.throws(() => decodeAwsBlob('vars', blob, () => Buffer.from('another')), {
    message: /Bad dictionary/,
  })
  t.doesNotThrow(() => findDictionary())
})

t.test('GUIDs and checksums', async t => {
  t.equal(decodeGuid(encodeGuid(globalGuid)), globalGuid)
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
})
