/** `pstorefs retention`: does a region's memory survive a reset? */
import type { CommandModule } from 'yargs'
import { testRetention } from '../../attach.js'
import type { Retained } from '../../backends/index.js'
import { count } from '../../pstore/condition.js'
import { json, withoutControls } from '../../pstore/printable.js'
import { tell } from '../../service/log.js'
import { parametersOf } from '../options/parameters.js'
import { findSource, refuseStandardInput, withSource, type SourceArgs } from '../options/source.js'
import { print } from '../show/output.js'
import { table } from '../show/table.js'

interface Args extends SourceArgs {
  again: boolean
  force: boolean
  json: boolean
}

/** The exit code where bits are lost that no parity of the layout's gives back. */
const lostExit = 1

const details =
  'Tests whether memory keeps its bytes over a reset, before a kernel is told to keep its last words there. Run it twice: ' +
  'the first time it writes a pattern over the region; reset the machine, with no kernel that has ramoops on it, and ' +
  'run the same command again: it prints how many bits are lost, where, and which zones of the layout would have ' +
  'lived with which parity. That only reads; --again writes a new pattern. A file or disk must be empty, memory must ' +
  'have no region, or --force is needed. Exit codes: 0 a pattern was written, or nothing is lost that parity would ' +
  'not give back; 1 something is; 2 wrong usage.'

export const retention: CommandModule<object, Args> = {
  command: 'retention <source>',
  describe: 'test whether memory survives a reset',
  builder: argv =>
    withSource(argv)
      .usage(`$0 retention SOURCE [options]\n\n${details}`)
      .option('again', {
        type: 'boolean',
        default: false,
        describe: 'write a new pattern where one is',
      })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'write over whatever is there, records too',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an object' })
      .example('$0 retention /dev/mem --mem-address 0x8000000 --mem-size 1M --record-size 64K', ''),
  handler: args => {
    const { source, options } = findSource(args.source, args.config, parametersOf({ ...args }))
    refuseStandardInput(source)
    const { again, force } = args
    const test = testRetention(source, { ...options, report: tell }, { again, force })
    const at = 'written' in test ? test.written : test.found.pattern
    const time = new Date(at.time).toISOString()
    if ('written' in test) {
      if (args.json) print([`${json({ written: { ...at, time } })}\n`])
      else
        print([
          `${withoutControls(args.source)}: a pattern of ${count(at.length, 'byte')} is written: reset now, then run this again\n`,
        ])
      return
    }
    const { found } = test
    if (args.json) print([`${json({ found: { ...toJson(found), pattern: { ...at, time } } })}\n`])
    else print(linesOf(args.source, found, time))
    if (isLost(found)) process.exitCode = lostExit
  },
}

const toJson = ({ toZero, toOne, changedPages, lostPages, ranges, ...others }: Retained) => ({
  to_zero: toZero,
  to_one: toOne,
  changed_pages: changedPages,
  lost_pages: lostPages,
  ranges: ranges.map(({ lostPages, ...range }) => ({ ...range, lost_pages: lostPages })),
  ...others,
})

/** Is more lost than the layout's parity would give back? Without a layout nothing is said to give anything back. */
const isLost = ({ ecc, zones, changedPages }: Retained): boolean =>
  ecc === null ? changedPages > 0 : zones.some(({ lost }) => lost > 0)

const hex = (n: number): string => `0x${n.toString(16)}`

/** How many ranges are named. */
const most = 8

function* linesOf(source: string, found: Retained, time: string): Generator<string, void, void> {
  const { pattern, toZero, toOne, pages, changedPages, lostPages, ranges, ecc } = found
  const bits = toZero + toOne
  const share = ((100 * bits) / (8 * pattern.length)).toPrecision(3)
  yield `${withoutControls(source)}: ${count(pattern.length, 'byte')}, written ${time}\n`
  yield bits === 0
    ? 'no bit is lost\n'
    : `${count(bits, 'bit')} lost (${share} %): ${toZero} from 1 to 0, ${toOne} from 0 to 1\n` +
      `${changedPages} of ${count(pages, 'page')} changed, ${lostPages} lost as a whole\n`
  const worst = ranges.toSorted((a, b) => b.bits - a.bits).slice(0, most)
  const rows = worst.map(({ offset, length, bits, lostPages, worst }) => [
    `  ${hex(offset)}-${hex(offset + length - 1)}`,
    `${count(bits, 'bit')}`,
    worst.bits < bits ? `${hex(worst.offset)} is worst: ${worst.bits}` : '',
    lostPages > 0 ? `${count(lostPages, 'page')} lost` : '',
  ])
  yield* table(rows, [])
  if (ranges.length > most) yield `  … and ${ranges.length - most} more ranges\n`
  if (ecc === null) {
    yield 'no layout given: with one, what would have lived is said\n'
    return
  }
  yield* table(
    found.zones
      .filter(({ corrected, lost }) => corrected + lost > 0)
      .map(({ kind, index, offset, corrected, lost }) => [
        `  ${kind} ${index}`,
        hex(offset),
        `${count(corrected, 'block')} corrected`,
        `${lost} lost`,
      ]),
    [],
  )
  for (const { ecc: size, whole, zones, corrected, lost } of found.parity)
    yield `ecc ${size}${size === ecc ? ' (the layout)' : ''}: ${whole === zones ? 'all' : whole} of ${count(zones, 'zone')} whole, ${count(corrected, 'block')} corrected, ${lost} lost\n`
}
