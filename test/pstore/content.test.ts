/** The end of a text, however it comes. */
import t from 'tap'
import { Tail } from '#src/pstore/content.js'

t.test('of a text in pieces its last ones are kept, as many bytes as were asked for', t => {
  const tail = new Tail(5)
  let all = ''
  for (const piece of ['a', 'bc', 'defg', '', 'hijklmnop', 'q', 'r', 's', 't', 'u']) {
    tail.add(Buffer.from(piece))
    all += piece
    const kept = tail.bytes().toString()
    t.ok(all.endsWith(kept), kept)
    t.ok(kept.length >= Math.min(5, all.length), `${kept.length} of ${all.length}`)
  }
  t.equal(tail.bytes().toString(), 'qrstu', 'and no piece more than that takes')
  t.end()
})
