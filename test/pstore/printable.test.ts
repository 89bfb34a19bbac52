/** What a terminal is given of what a crashed or hostile machine wrote. */
import t from 'tap'
import { json, terminalFilter, withoutControls } from '#src/pstore/printable.js'

t.test('controls are shown, text is left as it is', t => {
  for (const [text, shown] of [
    ['plain\ttab\nline\r\n', 'plain\ttab\nline\r\n'],
    ['\x1b[2J', '^[[2J'],
    ['\x07\x7f', '^G^?'],
    ['\x9b31m', '\\x9b31m'],
    ['\u202egnp.exe\u2066', '\\u202egnp.exe\\u2066'],
    ['over\rwritten', 'over^Mwritten'],
    ['é ✓', 'é ✓'],
  ])
    t.equal(withoutControls(text), shown)
  t.end()
})

t.test('a stream is shown to its last byte, however it is cut', t => {
  for (const [text, shown] of [
    ['é\r\n\x1b]0;title\x07', 'é\r\n^[]0;title^G'],
    ['ends in\r', 'ends in^M'],
    ['cut \xc3', 'cut \ufffd'],
  ]) {
    const bytes = text.startsWith('cut') ? Buffer.from(text, 'latin1') : Buffer.from(text)
    for (let at = 0; at <= bytes.length; at++) {
      const filter = terminalFilter()
      t.equal(
        filter(bytes.subarray(0, at)) + filter(bytes.subarray(at), true),
        shown,
        `cut at ${at}`,
      )
    }
  }
  t.end()
})

t.test('JSON has escapes for all that drives a terminal', t => {
  const value = { a: ['\x9b31m', '\x7f', '\u202e', '\x1b', 'é'], b: null }
  t.match(json(value), /^[ -~é\n]+$/)
  t.same(JSON.parse(json(value)), value)
  t.end()
})
