/** gzip files, beside Node's own reading: what is sound to us is so to it. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import zlib from 'node:zlib'
import { GzipFile } from '#src/region/images/gzip.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()
const fd = fs.openSync(file.path, 'r')
const text = Buffer.from('Panic#1 Part1\n<6>[    1.000000] hello, hello, hello\n')
const one = zlib.gzipSync(text)

const sound = (bytes: Buffer): Buffer | null => {
  try {
    return zlib.gunzipSync(bytes)
  } catch {
    return null
  }
}

export const target: Target = {
  seeds: () => [one, Buffer.concat([one, one]), Buffer.concat([one, Buffer.alloc(512)])],
  words: ['\x1f\x8b\x08', '\0\0\0\0'],
  longest: 1 << 12,
  run(bytes) {
    file.write(bytes)
    const way = new GzipFile(file.path, fd)
    const pieces: Buffer[] = []
    for (let piece = way.next(); piece; piece = way.next()) pieces.push(Buffer.from(piece))
    way.end()
    assert.equal(way.next(), null)
    const made = Buffer.concat(pieces)
    assert.ok(made.length <= 1100 * bytes.length, 'no more than deflate can make')
    assert.ok(way.taken <= bytes.length)
    const expected = sound(bytes)
    if (way.trouble === null) assert.ok(expected, 'sound')
    // Behind zeros Node looks for no member.
    if (expected) assert.ok(made.subarray(0, expected.length).equals(expected), 'the same text')
  },
}
