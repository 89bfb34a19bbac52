/** lzo streams, beside the model. */
import { lzo } from '#src/pstore/codecs/lzo.js'
import { decodeLzo, makeLzo, storeLzo } from '../../model/lzo.js'
import { Random } from '../../random.js'
import { codecTarget } from '../codec.js'

const title = Buffer.from('Panic#1 Part1\n<6>[    1.000000] hello\n'.slice(0, 32))

export const target = codecTarget(
  lzo,
  () => [storeLzo(title), ...[1, 2, 3].map(seed => makeLzo(new Random(seed), title).stream)],
  decodeLzo,
)
