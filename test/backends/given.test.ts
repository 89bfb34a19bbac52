/** What attach() is given by whoever has no types, what it says then, and what it found out. */
import t from 'tap'
import { attach, format, StoreError, type AttachOptions } from '#src/index.js'
import { receivedError, sentError } from '#src/pstore/errors.js'
import { pauseAfter } from '#src/pstore/follower.js'
import { loadFixture } from '../fixtures.js'
import { file } from '../program.js'
import { silentRegion } from './ramoops/made.js'

const wrong: readonly [source: unknown, options: object, message: RegExp][] = [
  [5, {}, /^source 5: must be a path, as 'region\.img'$/],
  ['', {}, /^source '': must be a path/],
  [undefined, {}, /^source undefined: must be a path/],
  ['?', { record_size: 'x' }, /^\?: record_size 'x': not a size: give a number like 65536/],
  ['?', { record_size: '4096' }, /^\?: record_size '4096': must be a number$/],
  ['?', { record_size: 1.5 }, /^\?: record_size '1\.5': not a size/],
  ['?', { record_size: -1 }, /^\?: record_size '-1': not a size/],
  ['?', { record_size: null }, /^\?: record_size 'null': not a size/],
  ['?', { ecc: NaN }, /^\?: ecc 'NaN': not a number from 0 up$/],
  ['?', { order: 'dmesg,console' }, /^\?: order 'dmesg,console': must be a list$/],
  ['?', { order: ['dmesg', 'tape'] }, /^\?: order 'dmesg,tape': no zone is called 'tape'/],
  ['?', { zones: 'dmesg:4K' }, /^\?: zones 'dmesg:4K': must be a list$/],
  [
    '?',
    { zones: Array.from({ length: 7 }, () => ({ kind: 'dmesg', size: 4096 })) },
    /^\?: zones \[ (\[Object\],? ){7}\]: must be a list, as \[ \{ kind: 'dmesg', size: 4096, count: 1 \}, \{ kind: 'dmesg', size: 4096, count: 1 \} \]$/,
  ],
  ['?', { zones: [null] }, /^\?: zones 'null': no zone is called 'null'/],
  ['?', { zones: [{ size: '4K' }] }, /^\?: zones '\[object Object\]': no zone is called/],
  ['?', { preset: 6.2 }, /^\?: preset 6\.2: must be a string$/],
  ['?', { readOnly: 'yes' }, /^\?: readOnly 'yes': must be a boolean$/],
  ['?', { name: {} }, /^\?: name \{\}: must be a string$/],
  ['?', { attach: 'birth' }, /^\?: attach 'birth': must be view or boot$/],
  [
    '?',
    { recordSize: 4096 },
    /^\?: recordSize: not an option of the driver ramoops, which takes mem_/,
  ],
  ['?', { toString: 1 }, /^\?: toString: not an option/],
]

t.test('one line says what is wrong', async t => {
  const source = file(t, loadFixture('all-noecc').region())
  for (const [path, options, message] of wrong) {
    const given = path === '?' ? source : (path as string)
    try {
      attach(given, options as AttachOptions).close()
      t.fail(String(message))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      t.equal(error.code, 'EINVAL')
      t.match(error.message.replace(source, '?'), message)
    }
  }
  t.throws(() => format(5 as unknown as string, {}), { code: 'EINVAL', message: /^source 5: / })
  const zones = [{ kind: 'dmesg', size: 65536, count: 1 }] satisfies AttachOptions['zones']
  attach(source, { zones, name: undefined as unknown as string }).close()
})

t.test('without options', async t => {
  const certain = attach(file(t, loadFixture('all-noecc').region()))
  t.same([certain.readOnly, certain.notes], [false, []])
  certain.close()

  const lines: string[] = []
  const copy = file(t, silentRegion())
  const guessed = attach(copy, { report: line => lines.push(line) })
  t.equal(guessed.readOnly, true)
  t.match(guessed.notes, [/layout guessed/, /: attached read-only$/])
  t.same(lines, guessed.notes.slice(0, -1), 'told at once')
  guessed.close()
  t.throws(() => attach(copy, { readOnly: false }), { name: 'UncertainLayout' })
})

t.test('a record as JSON', async t => {
  const backend = attach(file(t, loadFixture('all-noecc').region()))
  const records = JSON.parse(JSON.stringify([...backend.records()])) as object[]
  t.match(records[0], {
    backend: 'ramoops',
    type: 'dmesg',
    id: '0',
    mtime: /^\d+\.\d{9}$/,
    compressed: false,
    ecc: null,
  })
  t.match(records.at(-1), { mtime: null })
  backend.close()
})

t.test('an error from another thread', async t => {
  const sent = receivedError(sentError(new StoreError('x: is gone', 'ENOENT')))
  t.match(sent, { name: 'StoreError', code: 'ENOENT', message: 'x: is gone' })
  const mistake = new TypeError('no such thing')
  t.equal(receivedError(sentError(mistake)).stack, mistake.stack)
  t.match(receivedError(sentError('thrown')), { stack: 'thrown' })
})

t.test('when a ring is looked at again', async t => {
  t.same(
    [pauseAfter(100, true, 0), pauseAfter(10, false, 0), pauseAfter(80, false, 0)],
    [10, 20, 100],
  )
  t.equal(pauseAfter(10, true, 50), 150, 'looking is never all that is done')
})
