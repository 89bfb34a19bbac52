/** `pstorefs info`: a store as a picture, with a table of its places. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import type { RecordType } from '../pstore/types.js'
import type { Place } from '../pstore/place.js'
import { placeToJson } from './check.js'
import { bar, drawMap, glyphsOf, paint, type Canvas } from './picture.js'
import { drawSvg } from './svg.js'
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
  `${source}: ${name}, ${Object.entries(facts).map(humanFact).join(', ')}`

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

/** Alike as far as the table goes: nothing in them. */
const isPlain = ({ state, findings }: Place): boolean =>
  (state === 'empty' || state === 'unsigned') && findings.length === 0

/** The table's rows: runs of empty places are one. */
const rowsOf = (canvas: Canvas, places: readonly Place[]): string[][] => {
  const rows: string[][] = []
  const numbered = new Set<RecordType>()
  const types = new Set<RecordType>()
  for (const { type } of places) (types.has(type) ? numbered : types).add(type)
  for (let i = 0; i < places.length; i++) {
    const place = places[i]
    let last = i
    const alike = (next: Place | undefined): boolean =>
      next !== undefined && isPlain(next) && next.state === place.state && next.type === place.type
    if (isPlain(place)) while (alike(places[last + 1])) last++
    const run = places.slice(i, last + 1)
    const indexes = run.length > 1 ? `${place.index}-${run.at(-1)!.index}` : String(place.index)
    rows.push([
      numbered.has(place.type) ? `${place.type} ${indexes}` : place.type,
      place.offset === null ? '' : `0x${place.offset.toString(16)}`,
      humanSize(run.reduce((sum, { length }) => sum + length, 0)),
      run.length > 1 ? '' : bar(canvas, place, barWidthOf(canvas)),
      run.length > 1 ? '' : `${Math.ceil((place.used / place.room) * 100)} %`,
      describePlace(place),
    ])
    i = last
  }
  return rows
}

const stateStyle = { sound: 'green', empty: 'dim', unsigned: 'dim', damaged: 'red' } as const

const table = (canvas: Canvas, places: readonly Place[]): string => {
  const barWidth = barWidthOf(canvas)
  const head = ['zone', 'offset', 'size', 'data', 'used', 'state']
  const rows = rowsOf(canvas, places)
  const widths = head.map((title, i) =>
    i === 3 ? barWidth : Math.max(title.length, ...rows.map(row => row[i].length)),
  )
  const pad = (text: string, i: number): string =>
    i === 0 || i > 4 ? text.padEnd(widths[i]) : text.padStart(widths[i])
  const cells = (row: string[]): string =>
    row
      .slice(0, 5)
      // A bar's colours have no width.
      .map((text, i) =>
        i === 3 && text !== '' ? text : i === 3 ? ' '.repeat(barWidth) : pad(text, i),
      )
      .join('  ')
  const room = canvas.width - widths.slice(0, 5).reduce((sum, n) => sum + n + 2, 0)
  const line = (row: string[]): string => {
    const [first, ...more] = wrap(row[5], Math.max(20, room))
    const state = row[5].split(',')[0] as Place['state']
    const style = state in stateStyle ? stateStyle[state] : 'bold'
    const indent = ' '.repeat(canvas.width - Math.max(20, room))
    return [
      `${cells(row)}  ${paint(canvas, style, first)}`,
      ...more.map(text => indent + text),
    ].join('\n')
  }
  const title = [...head.slice(0, 3).map(pad), 'data'.padEnd(barWidth), pad('used', 4), 'state']
  return [paint(canvas, 'bold', title.join('  ')), ...rows.map(line)].join('\n')
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
      const places = [...backend.places()]
      const { name, facts } = backend
      if (args.svg !== undefined)
        writeSvg(args.svg, drawSvg(headline(args.source, backend), places))
      if (args.json) {
        const report = { backend: name, ...facts, places: places.map(placeToJson) }
        process.stdout.write(`${JSON.stringify(report, null, 1)}\n`)
        return
      }
      if (args.svg !== undefined) return
      const here = canvas()
      const drawn = places.some(({ offset }) => offset !== null) ? [drawMap(here, places), ''] : []
      const rows = places.length
        ? [table(here, places), '', paint(here, 'dim', legend(here))]
        : ['empty']
      process.stdout.write(
        `${[paint(here, 'bold', headline(args.source, backend)), '', ...drawn, ...rows].join('\n')}\n`,
      )
    } finally {
      backend.close()
    }
  },
}

const writeSvg = (file: string, svg: string): void => {
  try {
    fs.writeFileSync(file, svg)
  } catch (error) {
    throw new StoreError(`${file}: cannot be written: ${(error as NodeJS.ErrnoException).code}`)
  }
}
