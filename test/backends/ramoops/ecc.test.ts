/** Parity against plain polynomial division, against what kernels wrote, and against their decoder. */
import t from 'tap'
import { blockSize, codec, isWord, maxEccSize } from '#src/backends/ramoops/ecc.js'
import { parityOf } from '../../model/parity.js'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const again = `(again with SEED=${seed})`

/** A number below n, from a small generator (mulberry32). */
let randomState = seed
const random = (n: number): number => {
  randomState = (randomState + 0x6d2b79f5) | 0
  let x = Math.imul(randomState ^ (randomState >>> 15), 1 | randomState)
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
  return ((x ^ (x >>> 14)) >>> 0) % n
}
const randomBytes = (n: number): Buffer => Buffer.from(Array.from({ length: n }, () => random(256)))

const codecParity = (data: Uint8Array, ecc: number): Buffer => {
  const parity = Buffer.alloc(ecc)
  codec(ecc).encode(data, 0, data.length, parity, 0)
  return parity
}

/** In how many bytes two blocks differ. */
const distance = (a: Uint8Array, b: Uint8Array): number =>
  a.filter((byte, i) => byte !== b[i]).length

/** Change so many different bytes of a word; with limits, only among those. */
const damage = (word: Uint8Array, errors: number, from = 0, to = word.length): void => {
  const places = Array.from({ length: to - from }, (_, i) => from + i)
  for (let i = 0; i < errors; i++)
    word[places.splice(random(places.length), 1)[0]] ^= 1 + random(255)
}

const interesting = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97, 126, 127]
const lengths = [1, 2, 3, 4, 5, 12, 127, blockSize]

t.test('encode is polynomial division, for every parity size', async t => {
  for (let ecc = 1; ecc <= maxEccSize; ecc++) {
    const wrong = [...lengths, 1 + random(blockSize)].filter(length => {
      const data = randomBytes(length)
      return !codecParity(data, ecc).equals(parityOf(data, ecc))
    })
    t.same(wrong, [], `ecc ${ecc}: lengths with another parity ${again}`)
  }
})

t.test('one codec leaves nothing behind for another', async t => {
  const data = randomBytes(blockSize)
  for (const ecc of [127, 96, 64, 32, 16, 1]) {
    const garbage = randomBytes(blockSize + maxEccSize)
    codec(maxEccSize).decode(garbage, 0, blockSize, garbage, blockSize)
    t.same(codecParity(data, ecc), parityOf(data, ecc), `${ecc} after ${maxEccSize} ${again}`)
  }
})

t.test('nothing has no parity', async t => {
  for (const ecc of interesting)
    for (const length of lengths)
      t.ok(codecParity(Buffer.alloc(length), ecc).every(byte => byte === 0))
})

t.test('blocks lie anywhere in arrays of any kind, and nothing beside them is touched', async t => {
  for (const make of [Buffer.from, (bytes: Uint8Array) => new Uint8Array(bytes)])
    for (const ecc of interesting) {
      const length = 1 + random(blockSize)
      const [at, parityAt] = [3, 3 + length + 5]
      const region = make(randomBytes(parityAt + ecc + 7))
      const expected = Buffer.from(region)
      parityOf(expected.subarray(at, at + length), ecc).copy(expected, parityAt)
      codec(ecc).encode(region, at, length, region, parityAt)
      t.same(Buffer.from(region), expected, `encode, ecc ${ecc} ${again}`)
      t.ok(codec(ecc).check(region, at, length, region, parityAt))
      t.equal(codec(ecc).decode(region, at, length, region, parityAt), 0)
      if (ecc === 1) continue
      region[at + length - 1] ^= 0x55
      t.notOk(codec(ecc).check(region, at, length, region, parityAt))
      t.equal(codec(ecc).decode(region, at, length, region, parityAt), 1)
      t.same(Buffer.from(region), expected, `decode, ecc ${ecc} ${again}`)
    }
})

t.test('a word is told from what is none, also with more parity than a block may have', async t => {
  const wrong: string[] = []
  for (let ecc = 1; ecc <= 255 - 12; ecc++)
    for (const length of [12, Math.min(blockSize, 255 - ecc)]) {
      const data = Buffer.concat([Buffer.alloc(3), randomBytes(length)])
      const parity = Buffer.concat([Buffer.alloc(5), parityOf(data.subarray(3), ecc)])
      const isOne = (): boolean => isWord(data, 3, length, parity, 5, ecc)
      if (!isOne()) wrong.push(`ecc ${ecc}, length ${length}`)
      // At the first root no error that an even number of bytes share is seen.
      for (const errors of [1, 2]) {
        const places = [random(length), length + random(ecc)].slice(0, errors)
        const change = (): void => {
          for (const at of places)
            if (at < length) data[3 + at]! ^= 1
            else parity[5 + at - length]! ^= 1
        }
        change()
        if (isOne() && ecc > errors - 1)
          wrong.push(`ecc ${ecc}, length ${length}: ${places.join()}`)
        change()
      }
    }
  t.same(wrong, [], again)
})

t.test('up to half the parity is corrected, wherever the errors are', async t => {
  for (const ecc of interesting)
    for (const length of [1, 12, 77, blockSize]) {
      const clean = randomBytes(length + ecc)
      codec(ecc).encode(clean, 0, length, clean, length)
      const wrong: string[] = []
      for (let errors = 0; errors <= Math.floor(ecc / 2); errors++)
        for (const [from, to] of [
          [0, length + ecc],
          [0, length],
          [length, length + ecc],
        ]) {
          if (errors > to - from) continue
          const word = Buffer.from(clean)
          damage(word, errors, from, to)
          const parity = Buffer.from(word.subarray(length))
          const matched = codec(ecc).check(word, 0, length, word, length)
          const corrected = codec(ecc).decode(word, 0, length, word, length)
          if (
            corrected !== errors ||
            matched !== (errors === 0) ||
            !word.subarray(0, length).equals(clean.subarray(0, length)) ||
            !word.subarray(length).equals(parity)
          )
            wrong.push(`${errors} errors in ${from} … ${to}: ${corrected}`)
        }
      t.same(wrong, [], `ecc ${ecc}, length ${length} ${again}`)
    }
})

t.test('each wrong byte of a header', async t => {
  const header = randomBytes(12)
  const clean = Buffer.concat([header, codecParity(header, 2)])
  for (let at = 0; at < clean.length; at++)
    for (let by = 1; by < 256; by++) {
      const word = Buffer.from(clean)
      word[at] ^= by
      const corrected = codec(2).decode(word, 0, 12, word, 12)
      if (corrected !== 1 || !word.subarray(0, 12).equals(header))
        t.fail(`byte ${at} ^ ${by} gives ${corrected} ${again}`)
    }
})

t.test('with more errors, what is called corrected is a codeword, and else unchanged', async t => {
  for (const ecc of interesting) {
    const wrong: string[] = []
    let corrected = 0
    for (let round = 0; round < 300; round++) {
      const length = 1 + random(blockSize)
      const word = randomBytes(length + ecc)
      const errors = Math.min(word.length, Math.floor(ecc / 2) + 1 + random(ecc + 4))
      // One in four stays random.
      if (round & 3) {
        codec(ecc).encode(word, 0, length, word, length)
        damage(word, errors)
      }
      const before = Buffer.from(word)
      const count = codec(ecc).decode(word, 0, length, word, length)
      const data = word.subarray(0, length)
      if (!word.subarray(length).equals(before.subarray(length))) wrong.push('parity was changed')
      if (count < 0) {
        if (count !== -1 || !word.equals(before)) wrong.push(`${count}, but data was changed`)
        continue
      }
      corrected++
      // The count is the distance to the codeword that has the corrected data.
      const codeword = Buffer.concat([data, parityOf(data, ecc)])
      if (distance(codeword, before) !== count || count > ecc)
        wrong.push(`${count}, but ${distance(codeword, before)} bytes differ from a codeword`)
    }
    t.same(wrong, [], `ecc ${ecc}: ${corrected} of 300 were corrected ${again}`)
  }
})

t.test('sizes that cannot work', async t => {
  for (const ecc of [0, -1, 1.5, NaN, 128, 255])
    t.throws(() => codec(ecc), RangeError, `ecc ${ecc}`)
  t.equal(codec(16), codec(16), 'a codec is made once')
  const bytes = Buffer.alloc(blockSize + 16)
  for (const [offset, length, parityOffset] of [
    [0, 0, 128],
    [0, 129, 128],
    [-1, 12, 128],
    [17, 128, 0],
    [0, 12, 129],
    [0, 12, -1],
    [0, NaN, 0],
  ]) {
    const block = [bytes, offset, length, bytes, parityOffset] as const
    t.throws(
      () => codec(16).encode(...block),
      RangeError,
      `${length} at ${offset}, ${parityOffset}`,
    )
    t.throws(() => codec(16).check(...block), RangeError)
    t.throws(() => codec(16).decode(...block), RangeError)
  }
})

/** From test/fixtures: blocks that Linux 6.12 wrote, and their parity. */
const written: [what: string, data: Buffer, parity: string][] = [
  [
    'ecc1-all: console header',
    Buffer.from('4442474306030000c4380000', 'hex'),
    '8c763bd857bcfc0967d65f02ce489006',
  ],
  [
    'ecc1-all: console block 1',
    Buffer.from(
      ' RDI: ffffffff81b6ac30\n' +
        '[    3.462692] RBP: ffffc9000020bde0 R08: 0000000000009ffb R09: 00000000ffffdfff\n' +
        '[    3.462831] R10: 0000',
    ),
    '9b297915183b1913da769e6fb140a88d',
  ],
  [
    'ecc1-all: console block 113, the last',
    Buffer.from('   3.462239] RSP: 0018:ffffc9000020bdd0 EFLAGS: 00000286\n[    3.4623'),
    '314e10db8808d993fd46129ab7d36c1c',
  ],
  [
    'ecc7-all: console block 2',
    Buffer.from(
      '   1.287702] ACPI: \\_SB_.LNKD: Enabled at IRQ 11\n' +
        '[    1.514099] Serial: 8250/16550 driver, 4 ports, IRQ sharing disabled\n[    1.',
    ),
    '88be24a06d38c0',
  ],
  [
    'ecc32-all: pmsg block 1',
    Buffer.from(
      '8f6ca1eccf14e6d0e57a90c7cc3a7081cd05ebaabd92e48e9581cbce14475758' +
        '5560bb49e8f1b26e30205e0c830370049aca63554e8c826a23a5515dc01a4d68' +
        '0d31e0ac2d8bdc2a9e6440584ebe7f8ee09462920198653e8013acbace4ed7b2' +
        '3340f58064e1580a2163db7ef0e886a85f97a7655feaa02ef7fb5b7bf7f53402',
      'hex',
    ),
    'f79d86b8c15bd8a7e7e4c20077461a04e5e0aa031c67edbdde499143e08973cb',
  ],
  [
    'ecc128-small (127): pmsg header',
    Buffer.from('44424743b80b0000b80b0000', 'hex'),
    '6c0a4d9b6b82ad683506289ddb264f95f38a341081ca0e257d078dbe4283daf4' +
      '6bfb2799a3fea55a573ed23ed11fc7f9b4a186f18493d885828b711b2d7c8e5e' +
      '7de6c380d0d9cef173d377b04329c3aa110361578f66f9cb6b8c510841a5a36b' +
      '195e7ba45afabd20b47fd8cf91d73940fb9a3ac6576ad02d5fc2d87d86d500',
  ],
]

t.test('the parity that kernels wrote', async t => {
  for (const [what, data, hex] of written) {
    const parity = Buffer.from(hex, 'hex')
    t.equal(codecParity(data, parity.length).toString('hex'), hex, what)
    t.ok(codec(parity.length).check(data, 0, data.length, parity, 0))
  }
})

t.test('one text, damaged in two regions, comes out the same', async t => {
  // The first pmsg block of ecc2-all, with one wrong byte, and of ecc64-all, with twenty.
  const one = Buffer.from(
    '506c6a707b316075823d6cd554ca3f5e7b95ec3c718afe40ac5bd42feac9790f' +
      '960cda97d1279519b06d23f4afbbed12ec99bd85218ba0e33c7496e7633cccb3' +
      '3f460c0b73382db5fb457e2b10c4f7b5bf3f5bdb598edadad00d8cc17eebc377' +
      '4ee9e51ff1208d57700035036e40d02e5a5cdc71e3f1b6d2a15c70230b9852a9',
    'hex',
  )
  const twenty = Buffer.from(
    '50366a707b316075823d6cd50eca3f5e2195ec3c2b8afe40ac5b8e2feac9790f' +
      '960cda978b279519b06d23f4f5bbed12ec99e7df218ba0e33c2e96e7633cccb3' +
      '3f46560b73382db5fb457e2b4ac4f7efbf3f5bdb598edadad00d8cc17eebc377' +
      '14e9e51ff1208d57705a6f036e40d0745a5cdc2be3f1b6d2a15c2a230b9852a9',
    'hex',
  )
  const parity = Buffer.from(
    '2f02267d16d7811787387086eb1b2833bad63fba9901b6e595011e5c4649dc34' +
      'aa2b7e9af211dbeee1d2c8922241044e9fbf2d640ba5b710bcadeecbd38b2d26',
    'hex',
  )
  t.equal(codec(2).decode(one, 0, blockSize, Buffer.from('c7a3', 'hex'), 0), 1)
  t.equal(codec(64).decode(twenty, 0, blockSize, parity, 0), 20)
  t.same(one, twenty)
})

/** What decode_rs8 of Linux 6.12 made of blocks with more errors than half their parity. */
const beyond: [data: string, parity: string, result: number, after: string][] = [
  // An odd parity: one error more may be found, not always the right one.
  ['707a24616b6b63696570726c', '701a78', 2, '707a63616b6b63726570726c'],
  ['64c36b7575783f807364756d', '72b886550e', 3, '64796b75757863757364756d'],
  ['6765777364626f66766c696d', '51494a2f926365', 4, '6765777364626f666d6c696d'],
  ['f5637069686bbf64636770b7', '43b53b', -1, 'f5637069686bbf64636770b7'],
  // A single byte of parity names a place for any error: here in itself, and before the block.
  ['6d6afb6cff6b766e64666a6b', '1e', 1, '6d6afb6cff6b766e64666a6b'],
  ['66ee636a78616376fa766a6f', '0e', -1, '66ee636a78616376fa766a6f'],
]

t.test('beyond half the parity, as Linux decodes', async t => {
  for (const [hex, parityHex, result, after] of beyond) {
    const data = Buffer.from(hex, 'hex')
    const parity = Buffer.from(parityHex, 'hex')
    t.equal(
      codec(parity.length).decode(data, 0, data.length, parity, 0),
      result,
      `${hex} ${parityHex}`,
    )
    t.equal(data.toString('hex'), after)
  }
})
