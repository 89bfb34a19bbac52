/** Parity of any size, over blocks with any damage. The first bytes: parity size, length, how many errors. */
import assert from 'node:assert/strict'
import { blockSize, codec, maxEccSize } from '#src/backends/ramoops/ecc.js'
import type { Target } from '../target.js'

export const target: Target = {
  seeds: () =>
    [1, 2, 7, 16, 17, 32, 64, 127].flatMap(ecc =>
      [1, 12, 127, 128].map(length =>
        Buffer.concat([Buffer.of(ecc, length, ecc >> 1), Buffer.from('abcdefgh'.repeat(64))]),
      ),
    ),
  longest: 1024,
  run(bytes) {
    if (bytes.length < 5) return
    const [first, second, errors] = bytes
    const rs = codec(1 + (first % maxEccSize))
    const length = 1 + (second % blockSize)
    const block = Buffer.alloc(length + rs.eccSize)
    bytes.copy(block, 0, 3)
    decodesSoundly(block, length, rs.eccSize)

    // With parity of its own, and then as many errors as it promises to mend.
    rs.encode(block, 0, length, block, length)
    assert.ok(rs.check(block, 0, length, block, length))
    const sound = Buffer.from(block)
    const places = new Set<number>()
    for (let i = 0; i < errors % (1 + (rs.eccSize >> 1)); i++) {
      const at = bytes[3 + ((2 * i) % (bytes.length - 3))] % block.length
      places.add(at)
      block[at] = sound[at] ^ (1 + (bytes[3 + ((2 * i + 1) % (bytes.length - 3))] % 255))
    }
    assert.equal(rs.decode(block, 0, length, block, length), places.size)
    assert.ok(block.subarray(0, length).equals(sound.subarray(0, length)))
  },
}

/** A block with any parity is mended by no more than that many bytes, or left alone. */
const decodesSoundly = (given: Buffer, length: number, ecc: number): void => {
  const block = Buffer.from(given)
  const errors = codec(ecc).decode(block, 0, length, block, length)
  assert.ok(errors >= -1 && errors <= ecc)
  assert.ok(block.subarray(length).equals(given.subarray(length)))
  let changed = 0
  for (let i = 0; i < length; i++) if (block[i] !== given[i]) changed++
  assert.ok(changed <= Math.max(0, errors))
}
