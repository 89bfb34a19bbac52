/**
 * A zstd frame, as Linux's pstore wrote with zstd: a magic, blocks, and where the frame says so a checksum. What
 * follows the frame is ignored.
 *
 * Source: doc/formats.md 7.1; RFC 8878, 3.1.1.
 */
import type { Codec } from '../codec.js'
import { Output } from '../output.js'
import { walk, type Decoding, type Steps } from '../walk.js'
import { decodeHeader, isFrame, type Header } from './header.js'
import { mostInBlock, readLiterals, type Literals } from './literals.js'
import { runSequences, type Handed } from './sequences.js'
import { XxHash64 } from './xxhash.js'

/** Any decoder knows windows of so much (RFC 8878, 3.1.1.1.2), and no writer of pstore's has had more. */
const mostWindow = 8 << 20

const rawBlock = 0
const repeatedBlock = 1
const compressedBlock = 2
const blockHeaderSize = 3
const checksumSize = 4

function* decode(stream: Buffer, header: Header | number, out: Output, hash: XxHash64): Steps {
  if (typeof header === 'number') return out.fail(header)
  const { contentSize, hasChecksum } = header
  const handed: Handed = { tables: [null, null, null], offsets: [1, 4, 8] }
  const end = stream.length
  let tree: Literals['tree'] = null
  let at = header.next
  for (let isLast = false; !isLast;) {
    const start = at
    if (start + blockHeaderSize > end) return out.fail(end)
    const word = stream.readUIntLE(start, blockHeaderSize)
    const type = (word >> 1) & 3
    const size = word >> 3
    isLast = (word & 1) === 1
    at = start + blockHeaderSize
    if (size > mostInBlock) return out.fail(start)
    if (type === rawBlock) {
      const there = Math.min(size, end - at)
      out.literals(stream, at, there)
      if (out.left > 0 && (yield* out.drain())) return out.fail(start)
      at += there
      if (there < size) return out.fail(end)
    } else if (type === repeatedBlock) {
      if (at === end) return out.fail(end)
      out.literals(Buffer.alloc(size, stream[at]!), 0, size)
      if (out.left > 0 && (yield* out.drain())) return out.fail(start)
      at++
    } else if (type === compressedBlock) {
      if (at + size > end) return out.fail(end)
      const literals = readLiterals(stream, at, at + size, tree)
      at += size
      if (!literals) return out.fail(start)
      tree = literals.tree
      if (!(yield* runSequences(stream, literals.next, at, literals, handed, out)))
        return out.fail(start)
    } else return out.fail(start)
  }
  if (contentSize !== null && contentSize !== out.length) return out.fail(header.next - 1)
  if (!hasChecksum) return
  if (at + checksumSize > end) return out.fail(end)
  yield out.take()
  if (hash.low !== stream.readUInt32LE(at)) return out.failChecksum(at + checksumSize - 1)
}

const begin = (stream: Buffer, limit: number): Decoding => {
  const header = decodeHeader(stream)
  const hash = new XxHash64()
  const isTold = typeof header !== 'number' && header.hasChecksum
  const window = typeof header === 'number' ? 0 : Math.min(header.window, mostWindow)
  const out = new Output(limit, window, isTold ? piece => hash.add(piece) : undefined)
  return { out, steps: decode(stream, header, out, hash) }
}

export const zstd: Codec = {
  name: 'zstd',
  isOpened: isFrame,
  isChecked: true,
  walk: (stream, limit) => walk(stream, () => begin(stream, limit), false),
}
