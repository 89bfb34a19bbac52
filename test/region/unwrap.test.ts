/** A ring's bytes are moved into their order where they are, wherever it begins. */
import t from 'tap'
import { unwrap } from '#src/region/unwrap.js'
import { randomFor } from '../random.js'

t.test('as if cut in two and joined', async t => {
  const random = randomFor(t)
  const lengths = [0, 1, 2, 3, 7, 64, 1000, 65536, 65537, 3 * 65536 + 5]
  for (const length of lengths)
    for (const start of [0, 1, length - 1, length, length >>> 1, random.below(length + 1)]) {
      if (start < 0 || start > length) continue
      const bytes = random.bytes(length)
      const expected = Buffer.concat([bytes.subarray(start), bytes.subarray(0, start)])
      if (!unwrap(bytes, start).equals(expected)) t.fail(`${length} bytes from ${start}`)
    }
  t.pass()
})
