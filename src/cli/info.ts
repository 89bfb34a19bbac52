/** `pstorefs info`: a store as a picture, with a table of its places. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import type { RecordType } from '../pstore/types.js'
import type { Place } from '../pstore/place.js'
import { placeToJson } from './check.js'
import { asOften, mapped } from './many.js'
import { json, jsonArray, jsonObject, print, printJson } from './output.js'
import { bar, drawMap, glyphsOf, paint, type Canvas } from './picture.js'
import { drawSvg } from './svg.js'
import { withoutControls } from './terminal.js'
import { when } from './time.js'
import { attachSource, withSource, type SourceArgs } from './source.js'

interface Args extends SourceArgs {
  json: boolean
  svg: string | undefined
}

/** What stdout can show. */
const canvas = (): Canvas => {
  const { env, stdout } = process
  const dumb = env.TERM === 'dumb'
  return {
    width: Math.max(80, Math.min(200, stdout.isTTY ? stdout.columns : 80)),
    colour: stdout.isTTY && !dumb && !env.NO_COLOR,
    unicode: !dumb && /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || ''),
  }
}

/** A number of bytes for people. */
export const humanSize = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 2 ** (10 * unit)
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}

const humanFact = ([name, value]: [string, string | number]): string =>
  name.endsWith('_size')
    ? `${name} ${humanSize(Number(value))}`
    : `${name} ${name === 'mem_address' ? `0x${value.toString(16)}` : value}`

/** The store in a line. */
export const headline = (source: string, { name, facts }: Backend): string =>
  `${withoutControls(source)}: ${name}, ${Object.entries(facts).map(humanFact).join(', ')}`

/** What is in a place, in words. */
export const describePlace = ({ state, findings, dump, start, used, room }: Place): string => {
  const facts: string[] = []
  if (dump?.time) facts.push(when(dump.time))
  if (dump?.compressed && dump.text !== null) facts.push(`deflated from ${humanSize(dump.text)}`)
  if (start > 0 && start < used) facts.push(`wrapped at 0x${start.toString(16)}`)
  if (!dump && used > 0 && used === room) facts.push('full')
  return [state, ...facts, ...findings].join(', ')
}

const barWidthOf = ({ width }: Canvas): number => (width < 100 ? 12 : 24)

/** Nothing in it. */
const isPlain = ({ state, findings }: Place): boolean =>
  (state === 'empty' || state === 'unsigned') && findings.length === 0

/** Are they one row of the table? */
const areAlike = (a: Place, b: Place): boolean =>
  isPlain(a) && isPlain(b) && a.state === b.state && a.type === b.type

/** A row of the table: a place, or a run of empty ones. */
interface Row {
  first: Place
  /** Index of the last, bytes of all, and how many. */
  last: number
  length: number
  count: number
}

/** The rows, one at a time. */
function* rowsOf(places: Iterable<Place>): Generator<Row, void, void> {
  let row: Row | undefined
  for (const place of places) {
    const { index, length } = place
    if (row && areAlike(row.first, place)) {
      row.last = index
      row.length += length
      row.count++
      continue
    }
    if (row) yield row
    row = { first: place, last: index, length, count: 1 }
  }
  if (row) yield row
}

const stateStyle = { sound: 'green', empty: 'dim', unsigned: 'dim', damaged: 'red' } as const

/** What a row says before it draws. */
const cellsOf = ({ first, last, length, count }: Row) => ({
  indexes: count > 1 ? `${first.index}-${last}` : `${first.index}`,
  offset: first.offset === null ? '' : `0x${first.offset.toString(16)}`,
  size: humanSize(length),
  used: count > 1 ? '' : `${Math.ceil((first.used / first.room) * 100)} %`,
})

function* table(canvas: Canvas, places: () => Iterable<Place>): Generator<string, void, void> {
  const barWidth = barWidthOf(canvas)
  const widths = { offset: 6, size: 4, used: 4 }
  const columns = ['offset', 'size', 'used'] as const
  /** How many places of a type there are, and the longest that says which. */
  const types = new Map<RecordType, { count: number; indexes: string }>()
  for (const row of rowsOf(places())) {
    const cells = cellsOf(row)
    for (const column of columns) widths[column] = Math.max(widths[column], cells[column].length)
    const { count = 0, indexes = '' } = types.get(row.first.type) ?? {}
    types.set(row.first.type, {
      count: count + row.count,
      indexes: cells.indexes.length > indexes.length ? cells.indexes : indexes,
    })
  }
  const zoneOf = (type: RecordType, indexes: string): string =>
    types.get(type)!.count > 1 ? `${type} ${indexes}` : type
  const zone = Math.max(
    4,
    ...Array.from(types, ([type, { indexes }]) => zoneOf(type, indexes).length),
  )
  const left = zone + widths.offset + widths.size + widths.used + barWidth + 10
  const room = Math.max(20, canvas.width - left)
  const line = (zoneText: string, offset: string, size: string, data: string, used: string) =>
    [
      zoneText.padEnd(zone),
      offset.padStart(widths.offset),
      size.padStart(widths.size),
      data,
      used.padStart(widths.used),
    ].join('  ')
  const head = line('zone', 'offset', 'size', 'data'.padEnd(barWidth), 'used')
  yield `${paint(canvas, 'bold', `${head}  state`)}\n`
  for (const row of rowsOf(places())) {
    const { indexes, offset, size, used } = cellsOf(row)
    const { first, count } = row
    // A bar's colours have no width.
    const data = count > 1 ? ' '.repeat(barWidth) : bar(canvas, first, barWidth)
    const [text, ...more] = wrap(describePlace(first), room)
    const style = stateStyle[first.state]
    yield `${line(zoneOf(first.type, indexes), offset, size, data, used)}  ${paint(canvas, style, text)}\n`
    for (const text of more) yield `${' '.repeat(canvas.width - room)}${text}\n`
  }
}

/** Break a text at its blanks. */
const wrap = (text: string, width: number): string[] => {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines
}

const legend = (canvas: Canvas): string => {
  const { used, free, none, corrected, bad, wrap } = glyphsOf(canvas)
  return (
    `${used} data  ${free} free  ${none.trim() ? `${none} no zone  ` : ''}${wrap} oldest byte of a ring  ` +
    `${corrected} corrected  ${bad} damaged`
  )
}

const details =
  'Draws the zones to scale, with their offsets, how full they are, where rings wrap, and what parity ' +
  'says of each block; and lists what is in them.'

export const info: CommandModule<object, Args> = {
  command: 'info <source>',
  describe: 'the layout as a picture: zones, offsets, fill, ECC state',
  builder: argv =>
    withSource(argv)
      .usage(`$0 info SOURCE [options]\n\n${details}`)
      .option('svg', {
        type: 'string',
        requiresArg: true,
        describe: 'draw it into FILE, for reports',
      })
      .option('json', { type: 'boolean', default: false, describe: 'an object, for programs' })
      .example('$0 info dump.bin', '')
      .example('$0 info dump.bin --svg report.svg', ''),
  handler: args => {
    const backend = attachSource(args, { readOnly: true })
    try {
      const title = headline(args.source, backend)
      const places = asOften(() => backend.places())
      if (args.svg !== undefined) writeSvg(args.svg, drawSvg(title, places))
      if (args.json) printJson(jsonObject(reportOf(backend, places())))
      else if (args.svg === undefined) print(picture(canvas(), title, places))
    } finally {
      backend.close()
    }
  },
}

/** What `--json` prints. */
function* reportOf(
  { name, facts }: Backend,
  places: Iterable<Place>,
): Generator<[string, Iterable<string>], void, void> {
  for (const [fact, value] of Object.entries({ backend: name, ...facts }))
    yield [fact, [json(value)]]
  yield ['places', jsonArray(mapped(places, placeToJson))]
}

function* picture(
  here: Canvas,
  title: string,
  places: () => Iterable<Place>,
): Generator<string, void, void> {
  yield `${paint(here, 'bold', title)}\n\n`
  const [first] = places()
  if (!first) {
    yield 'empty\n'
    return
  }
  if (first.offset !== null) yield `${drawMap(here, places())}\n\n`
  yield* table(here, places)
  yield `\n${paint(here, 'dim', legend(here))}\n`
}

const writeSvg = (file: string, svg: Iterable<string>): void => {
  try {
    const fd = fs.openSync(file, 'w')
    try {
      print(svg, bytes => fs.writeFileSync(fd, bytes))
    } finally {
      fs.closeSync(fd)
    }
  } catch (error) {
    throw new StoreError(`${file}: cannot be written: ${(error as NodeJS.ErrnoException).code}`)
  }
}
