/** Real kernels' consoles and dumps: each console goes with its own life's dump, and with no other. */
import t from 'tap'
import { clockOf } from '#src/crash/clock.js'
import { goesOnAfter } from '#src/crash/grouping.js'
import { parseLines, type LogLine } from '#src/crash/lines.js'
import { linesAfter, linesOfLife } from '#src/crash/lives.js'
import { decodeTitle } from '#src/pstore/dump.js'
import type { Timespec } from '#src/pstore/time.js'
import { fixtures } from '../fixtures.js'

/** A kernel's last dump and the console beside it. */
interface Life {
  readonly name: string
  readonly goesOn: boolean
  readonly dump: LogLine[]
  readonly console: LogLine[]
}

const linesOf = (bytes: Buffer): LogLine[] => parseLines(bytes.toString('latin1'))
const secondsOf = ({ sec, nsec }: Timespec): number => Number(sec) + nsec / 1e9
const endOf = (lines: readonly LogLine[]): number => clockOf(lines)!.last

const lives = fixtures('').flatMap(({ name, files, file }): Life[] => {
  const texts = (type: string) =>
    files
      .filter(of => of.name.startsWith(type) && !of.name.endsWith('.z'))
      .map(of => ({ bytes: file(of.name), lines: linesOf(file(of.name)), at: secondsOf(of.mtime) }))
      .filter(({ lines }) => clockOf(lines))
  const last = texts('dmesg')
    .toSorted((a, b) => a.at - b.at)
    .at(-1)
  const console = texts('console')[0]?.lines
  if (!last || !console) return []
  const reason = decodeTitle(last.bytes)?.reason.toLowerCase() ?? null
  return [{ name, goesOn: goesOnAfter(reason), dump: last.lines, console }]
})

t.test('each with each', async t => {
  t.ok(lives.length > 20)
  let undecided = 0
  for (const { name, dump, goesOn } of lives)
    for (const other of lives) {
      const isOwn = linesOfLife(dump, other.console, goesOn).length > 0
      if (other.name === name) t.ok(isOwn, name)
      // What begins after an oops may be of a machine that went on.
      else if (goesOn && clockOf(other.console)!.first > endOf(dump)) undecided++
      else if (isOwn) t.fail(`${name} with the console of ${other.name}`)
    }
  t.ok(undecided < lives.length ** 2 / 10, `${undecided}`)
})

t.test('the lines after a moment', async t => {
  const line = (time: number | null, text: string) => ({ time, text })
  const cut = line(null, '] the end of a line, where a ring begins')
  const [before, more, after, wrapped] = [
    line(1, 'before'),
    line(null, 'more of it'),
    line(3, 'after'),
    line(null, 'wrapped'),
  ] as const
  const all = [cut, before, more, after, wrapped]
  t.same(linesAfter(all, 2), [after, wrapped])
  t.same(linesAfter(all, 3), [])
  t.same(linesAfter([], 3), [])
})
