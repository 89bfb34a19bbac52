/** What the drivers' parameters take, and what they refuse. */
import t from 'tap'
import { StoreError } from '#src/pstore/errors.js'
import {
  parseCount,
  parseOrder,
  parseSize,
  parseText,
  splitRingParameters,
  zoneParameters,
} from '#src/pstore/parameters.js'

const parsers = {
  size: parseSize,
  count: parseCount,
  order: parseOrder,
  text: parseText,
  writes_per_hour: splitRingParameters.writes_per_hour.parse,
  endian: zoneParameters.endian.parse,
  word_size: zoneParameters.word_size.parse,
} as const

/** A text and its value, or the end of the error that refuses it. */
const cases: [parser: keyof typeof parsers, text: string, outcome: unknown][] = [
  ['size', '65536', 65536],
  ['size', '0x10000', 65536],
  ['size', '64K', 65536],
  ['size', '2MiB', 2 << 20],
  ['size', '1gb', 2 ** 30],
  ['size', '0', 0],
  ['size', '', /not a size/],
  ['size', '-1', /not a size/],
  ['size', '1.5M', /not a size/],
  ['size', '99999999999999999999', /not a size/],
  ['count', '16', 16],
  ['count', '0x10', 16],
  ['count', '16K', /not a number from 0 up$/],
  ['count', '1234567890', /not a number from 0 up$/],
  ['order', 'dmesg,console', ['dmesg', 'console']],
  ['order', 'tty:dmesg', ['tty', 'dmesg']],
  ['order', 'dmesg,mce', /no zone is called 'mce'; there is dmesg, console/],
  ['order', 'dmesg,dmesg', /dmesg is named twice$/],
  ['text', 'as it is', 'as it is'],
  ['writes_per_hour', '12', 12],
  ['writes_per_hour', '0', /must be at least 1$/],
  ['endian', 'big', 'big'],
  ['word_size', '32', 32],
  ['word_size', '64', 64],
  ['word_size', '16', /must be 32 or 64$/],
  ['endian', 'middle', /must be little or big$/],
]

for (const [parser, text, outcome] of cases)
  t.test(`${parser} '${text}'`, async t => {
    const parse = (): unknown => parsers[parser]('name', text)
    if (!(outcome instanceof RegExp)) return t.same(parse(), outcome)
    t.throws(parse, StoreError)
    t.throws(parse, { message: new RegExp(`^name '${text.replaceAll('.', '\\.')}': `) })
    return t.throws(parse, { message: outcome })
  })
