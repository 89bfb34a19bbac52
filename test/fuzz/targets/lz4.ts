/** lz4 streams, beside the model. */
import { lz4 } from '#src/pstore/codecs/lz4.js'
import { decodeLz4, makeLz4, storeLz4 } from '../../model/lz4.js'
import { Random } from '../../random.js'
import { codecTarget } from '../codec.js'

const title = Buffer.from('Panic#1 Part1\n<6>[    1.000000] hello\n'.slice(0, 32))

export const target = codecTarget(
  lz4,
  () => [storeLz4(title), ...[1, 2, 3].map(seed => makeLz4(new Random(seed), title).stream)],
  decodeLz4,
)
