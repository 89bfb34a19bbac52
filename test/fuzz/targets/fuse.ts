/**
 * The kernel's requests, many in a row: for each its code, a node, the length of the rest in two bytes, and the
 * rest.
 */
import assert from 'node:assert/strict'
import { attach, format } from '#src/index.js'
import { recordsOf } from '#src/pstore/records.js'
import { Tree } from '#src/tree/tree.js'
import { Asked, bodyOf, codes, decode, isSound, requestOf, silent } from '../../fuse/requests.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()
const layout = { record_size: 4096, console_size: 4096, pmsg_size: 4096, ftrace_size: 4096 }
file.write(Buffer.alloc(32768))
format(file.path, layout)
const backend = attach(file.path, layout)
const texts = ['Panic#1 Part1\none', 'Oops#2 Part1\ntwo']
for (const [i, text] of texts.entries())
  backend.write({ type: 'dmesg', bytes: Buffer.from(text), time: { sec: BigInt(i + 1), nsec: 0 } })
for (const type of ['console', 'pmsg'] as const) backend.write({ type, bytes: Buffer.from('text') })
const before = file.read()

const step = (code: number, node: number, ...parts: (number | bigint | string)[]): Buffer => {
  const body = bodyOf(parts)
  return Buffer.concat([Buffer.of(code, node, body.length & 0xff, body.length >>> 8), body])
}
const names = ['console-ramoops-0', 'dmesg-ramoops-0', 'ramoops']

export const target: Target = {
  seeds: () => [
    step(codes.init, 0, 7, 38, 131072, 0xffffffff),
    Buffer.concat([
      step(codes.lookup, 1, names[0]),
      step(codes.open, 3, 0, 0),
      step(codes.read, 3, 1n, 0n, 4096, 2, 0n, 0, 0),
      step(codes.lseek, 3, 1n, 0n, 3, 0),
      step(codes.unlink, 1, names[0]),
      step(codes.getattr, 3, 0, 0, 0n),
      step(codes.release, 3, 1n, 0, 0, 0n),
      step(codes.forget, 3, 1n),
    ]),
    Buffer.concat([
      step(codes.opendir, 1, 0, 0),
      step(codes.readdir, 1, 1n, 0n, 200, 0, 0n, 0, 0),
      step(codes.releasedir, 1, 1n, 0, 0, 0n),
      step(codes.lookup, 1, names[1]),
      step(codes.setattr, 3, ...Array<number>(22).fill(0xff)),
      step(codes.batchForget, 0, 1, 0, 3n, 1n),
      step(codes.listxattr, 3, 0, 0),
      step(codes.access, 3, 1, 0),
      step(codes.statfs, 1),
    ]),
  ],
  words: names.map(name => `${name}\0`),
  longest: 4096,
  run(bytes) {
    file.write(before)
    const asked = new Asked(new Tree([recordsOf(backend)]))
    for (let at = 0; at + 4 <= bytes.length;) {
      const [code, node] = bytes.subarray(at, at + 2)
      const length = bytes.readUInt16LE(at + 2)
      const replies = asked.raw(requestOf(code, node, bytes.subarray(at + 4, at + 4 + length)))
      at += 4 + length
      assert.equal(replies.length, silent.includes(code) ? 0 : 1)
      for (const reply of replies) {
        assert.ok(isSound(reply))
        assert.equal(decode(reply).unique, 7n)
      }
    }
    assert.deepEqual(asked.problems, [])
    asked.server.end()
    assert.equal(asked.server.opened, 0)
  },
}
