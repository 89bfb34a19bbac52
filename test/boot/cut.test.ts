/** What a ring holds that nobody has kept yet, whatever happened since it was kept. */
import t from 'tap'
import { cut, markOf, type Step } from '#src/boot/cut.js'
import { randomFor } from '../random.js'

const mark = markOf('5f7e3c52-6a1b-4a8e-9a39-0d7d8f6f2f11')

/** A ring of so many bytes, to which these were appended one after the other. */
const ring = (size: number, ...texts: Buffer[]): Buffer => Buffer.concat(texts).subarray(-size)

/** A ring whose writer was killed after so many bytes of a text, before it moved the header. */
const torn = (before: Buffer, text: Buffer, bytes: number, size: number): Buffer => {
  const now = Buffer.from(before)
  // What lies behind the end of one that is not full is not shown.
  const behind = size - before.length
  if (bytes > behind) text.copy(now, 0, behind, bytes)
  return now
}

t.test('the text behind what was kept', async t => {
  const random = randomFor(t)
  for (let round = 0; round < 2000; round++) {
    const size = random.between(200, 600)
    const line = (): Buffer =>
      Buffer.from(`[${random.below(1e9)}] ${random.bytes(9).toString('hex')}\n`)
    const text = (longest: number): Buffer => {
      const length = random.below(longest)
      const lines: Buffer[] = []
      while (Buffer.concat(lines).length < length) lines.push(line())
      return Buffer.concat(lines)
    }
    const before = ring(size, text(size * 2))
    const added = text(size * 2)
    // As a kill leaves it: kept, marked behind its back, known to be marked, emptied.
    const cases: [step: Step, now: Buffer[]][] = [
      ['saved', [before, added]],
      ['saved', [before, mark, added]],
      ['saved', [torn(before, mark, random.below(mark.length + 1), size), added]],
      ['marked', [before, mark, added]],
      ['marked', [added]],
      ['emptied', [added]],
    ]
    for (const [step, now] of cases) {
      const rest = cut({ type: 'console', step, raw: before }, mark, ring(size, ...now))
      // Of a few bytes left of what was kept nobody can tell whose they are: these are shown again.
      const extra = rest.length - Math.min(added.length, size)
      if (extra < 0 || extra > 15 || !rest.subarray(extra).equals(ring(size, added)))
        t.fail(`${step}: ${rest.length} bytes of ${added.length}`)
    }
  }
})

t.test('words that the last life began with too', async t => {
  const words = Buffer.from('Linux version 6.12\n')
  const now = (...texts: Buffer[]): string =>
    cut({ type: 'tty', step: 'marked', raw: words }, mark, Buffer.concat(texts)).toString()
  t.equal(now(words), words.toString(), 'the ring was emptied, and this life said them')
  t.equal(now(words, mark), '')
  t.equal(now(words, mark, words), words.toString())
  t.equal(cut({ type: 'tty', step: 'saved', raw: words }, mark, words).length, 0)
})

t.test("ftrace's, which nobody marks", async t => {
  const raw = Buffer.alloc(48, 'r')
  const left = (now: Buffer): number =>
    cut({ type: 'ftrace', step: 'saved', raw }, mark, now).length
  t.equal(left(raw), 0)
  t.equal(left(raw.subarray(24)), 0, "one CPU's zone is emptied")
  t.equal(left(Buffer.alloc(72)), 72, 'another kernel has written since')
})

t.test('a ring of few letters: as if each length were tried', async t => {
  const random = randomFor(t)
  const short = Buffer.from('mark abab\n')
  /** The longest end of what was kept that the ring begins with, but for where the mark may be. */
  const slowly = (raw: Buffer, now: Buffer): number => {
    if (now.subarray(0, raw.length).equals(raw)) return raw.length
    for (let n = Math.min(raw.length, now.length); n >= 16; n--) {
      const gone = raw.length - n
      const from = Math.max(0, short.length - gone)
      if (raw.subarray(gone).equals(now.subarray(0, n))) return n
      if (n - from >= 16 && raw.subarray(gone + from).equals(now.subarray(from, n))) return n
    }
    return 0
  }
  const letters = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, () => random.pick([0x61, 0x61, 0x61, 0x62])))
  for (let round = 0; round < 3000; round++) {
    const raw = Buffer.concat([letters(random.below(60)), Buffer.alloc(random.below(60), 'ab')])
    const from = random.below(raw.length + 1)
    const now = Buffer.concat([raw.subarray(from), letters(random.below(60))])
    const rest = cut({ type: 'console', step: 'saved', raw }, short, now)
    if (rest.length !== now.length - slowly(raw, now))
      t.fail(`${raw}\n${now}\n${rest.length}, not ${now.length - slowly(raw, now)}`)
  }
})

t.test('a large ring of one letter takes no time', async t => {
  const now = Buffer.alloc(2 ** 21, 'a')
  const raw = Buffer.from(now)
  raw.write('b', raw.length - 1)
  const start = performance.now()
  t.equal(cut({ type: 'pmsg', step: 'saved', raw }, mark, now).length, now.length)
  t.ok(performance.now() - start < 5000)
})
