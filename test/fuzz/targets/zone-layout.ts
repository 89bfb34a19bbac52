/** A pstore/zone store that nobody described. */
import { attach } from '#src/index.js'
import { fixtures } from '../../fixtures.js'
import { checkBackend, Scratch, type Target } from '../target.js'

const file = new Scratch()

export const target: Target = {
  seeds: () => fixtures('blk-').map(fixture => fixture.region().subarray(0, 2 ** 16)),
  words: ['DBGC', 'CBGC', 'FBGC', 'GBGC', 'CGBD', '\xe5\x3a\xfc\x4d', '===='],
  run(bytes) {
    file.write(bytes)
    checkBackend(
      () => attach(`zone:${file.path}`, { readOnly: true, report: () => {} }),
      file,
      bytes,
    )
  },
}
