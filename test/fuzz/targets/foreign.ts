/** Forms that are told by name: a line or nothing, whatever a file begins with. */
import assert from 'node:assert/strict'
import { foreignForm } from '#src/region/images/foreign.js'
import { foreignSamples } from '../../region/foreign-samples.js'
import type { Target } from '../target.js'

export const target: Target = {
  seeds: () => foreignSamples.map(({ head }) => Buffer.from(head, 'latin1')),
  words: ['/*', '*/', '//', '/dts-v1/;', '00000000: ', '00000010  ', '\n', ':10', 'ustar'],
  longest: 1 << 12,
  run(bytes) {
    const form = foreignForm(bytes)
    if (form !== null) assert.match(form, /^(is )?an? [\x20-\x7e]+$|^is [\x20-\x7e]+$/)
  },
}
