/** What JSON gives is taken for what it has to be, and for nothing else. */
import t from 'tap'
import { Shape } from '#src/pstore/shape.js'

const of = (value: unknown): Shape => new Shape(value, 'it')

t.test('what is right', async t => {
  const shape = Shape.parse('{"a":[{"b":7},"x"],"c":null,"d":false}', 'it')
  const [first, second] = shape.member('a').items()
  t.equal(first?.member('b').count(), 7)
  t.equal(second?.text(/^x$/), 'x')
  t.equal(second?.one(['y', 'x']), 'x')
  t.equal(shape.member('d').flag(), false)
  t.equal(of(1.5).seconds(), 1.5)
  t.same([shape.has('c'), shape.has('e')], [true, false])
  t.equal(
    shape.member('c').orNull(it => it.text()),
    null,
  )
  t.equal(
    second?.orNull(it => it.text()),
    'x',
  )
})

t.test('what is not', async t => {
  const table: [work: () => unknown, message: RegExp][] = [
    [() => Shape.parse('{', 'it'), /^it is no JSON$/],
    [() => of(null).member('a'), /^it is no object$/],
    [() => of([]).member('a'), /^it is no object$/],
    [() => of('text').member('length'), /^it is no object$/],
    [() => of({}).member('a').text(), /^it\.a is no such text$/],
    [() => of({}).member('toString').items(), /^it\.toString is no array$/],
    [() => of({ length: 1 }).items(), /^it is no array$/],
    [() => of([0, 'x']).items()[1]?.count(), /^it\[1\] is no number of anything$/],
    [() => of('ab').text(/^a$/), /^it is no such text$/],
    [() => of(7).text(), /^it is no such text$/],
    [() => of('z').one(['x', 'y']), /^it is no x, y$/],
    [() => of(0).flag(), /^it is no true or false$/],
    [() => of(-1).count(), /^it is no number of anything$/],
    [() => of(1.5).count(), /^it is no number of anything$/],
    [() => of(2 ** 53).count(), /^it is no number of anything$/],
    [() => of(-0.5).seconds(), /^it is no number of seconds$/],
    [() => of('1').seconds(), /^it is no number of seconds$/],
    [() => of(Infinity).seconds(), /^it is no number of seconds$/],
    [() => of(undefined).orNull(it => it.flag()), /^it is no true or false$/],
  ]
  for (const [work, message] of table) t.throws(work, { name: 'StoreError', message, code: 'EIO' })
})
