/** zstd frames, beside the library: what is sound to us is so to it. */
import { zstd } from '#src/pstore/codecs/zstd/index.js'
import { samples } from '../../pstore/codecs/zstd-samples.js'
import { zstdLibrary } from '../../zstd-library.js'
import { codecTarget } from '../codec.js'

export const target = codecTarget(
  zstd,
  () => samples.map(({ stream }) => stream),
  (stream, limit) => zstdLibrary?.decompress(stream, limit),
  false,
)
