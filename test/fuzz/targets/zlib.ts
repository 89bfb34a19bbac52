/** Streams in zlib's wrapping, beside zlib. */
import nodeZlib from 'node:zlib'
import { zlib } from '#src/pstore/codecs/zlib.js'
import { log } from '../../pstore/codecs/zstd-samples.js'
import { codecTarget } from '../codec.js'

export const target = codecTarget(
  zlib,
  () => [0, 6].map(level => nodeZlib.deflateSync(log(1, 12), { level, windowBits: 12 })),
  (stream, limit) => {
    try {
      return nodeZlib.inflateSync(stream, { maxOutputLength: limit })
    } catch {
      return null
    }
  },
)
