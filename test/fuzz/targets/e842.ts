/** e842 streams, beside the model. */
import { e842 } from '#src/pstore/codecs/e842.js'
import { decode842, make842, store842 } from '../../model/e842.js'
import { Random } from '../../random.js'
import { codecTarget } from '../codec.js'

const title = Buffer.from('Panic#1 Part1\n<6>[    1.000000] hello\n'.slice(0, 32))

export const target = codecTarget(
  e842,
  () => [store842(title), ...[1, 2, 3].map(seed => make842(new Random(seed), title).stream)],
  decode842,
)
