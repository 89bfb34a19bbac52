/** A store as a picture of text: its places to scale, and how full each is. */
import { styleText } from 'node:util'
import { badBlock, correctedBlock, type Place } from '../pstore/place.js'
import type { RecordType } from '../pstore/types.js'

/** What the terminal can show. */
export interface Canvas {
  /** Columns. */
  width: number
  colour: boolean
  /** Else ASCII. */
  unicode: boolean
}

type Style = Parameters<typeof styleText>[0]

interface Glyphs {
  used: string
  free: string
  /** Nobody has made a zone of it. */
  none: string
  corrected: string
  bad: string
  /** Where a ring's oldest byte follows its newest. */
  wrap: string
  border: string
}

const blocks: Glyphs = {
  used: '█',
  free: '░',
  none: '·',
  corrected: '▓',
  bad: '╳',
  wrap: '┃',
  border: '│',
}
const ascii: Glyphs = {
  used: '#',
  free: '-',
  none: ' ',
  corrected: '+',
  bad: 'X',
  wrap: ':',
  border: '|',
}

export const glyphsOf = ({ unicode }: Canvas): Glyphs => (unicode ? blocks : ascii)

const colours: { readonly [type in RecordType]?: Style } = {
  dmesg: 'cyan',
  console: 'green',
  pmsg: 'magenta',
  tty: 'blue',
  ftrace: 'yellow',
}

const colourOf = ({ type }: Place): Style => colours[type] ?? 'reset'

export const paint = (canvas: Canvas, style: Style, text: string): string =>
  canvas.colour ? styleText(style, text, { validateStream: false }) : text

/** A place, or several alike that are too narrow to be drawn each. */
export interface Segment {
  label: string
  /** To be used where the label has no room. */
  short: string
  type: RecordType
  places: Place[]
  offset: number
  length: number
}

const labelOf = ({ type, index }: Place, many: boolean): string =>
  many ? `${type} ${index}` : type

/** One segment a place, or one for each run of a kind where these are more than `most`. */
export const segmentsOf = (places: readonly Place[], most: number): Segment[] => {
  const kinds = new Map<RecordType, number>()
  for (const { type } of places) kinds.set(type, (kinds.get(type) ?? 0) + 1)
  const segments: Segment[] = []
  for (const place of places) {
    const { type, offset, length } = place
    const last = segments.at(-1)
    if (places.length > most && last?.type === type) {
      last.places.push(place)
      last.length += length
      last.label = `${type} ${last.places[0].index}-${place.index}`
    } else
      segments.push({
        label: labelOf(place, (kinds.get(type) ?? 0) > 1),
        short: type[0],
        type,
        places: [place],
        offset: offset ?? 0,
        length,
      })
  }
  return segments
}

/** Cells for each segment, to scale, one at least; `width` in all where there is room for that. */
export const scale = (segments: readonly Segment[], width: number): number[] => {
  const total = segments.reduce((sum, { length }) => sum + length, 0)
  const ideal = segments.map(({ length }) => (length / total) * width)
  const cells = ideal.map(n => Math.max(1, Math.floor(n)))
  let left = width - cells.reduce((sum, n) => sum + n, 0)
  // What rounding left goes to, or comes from, whoever is farthest from its share.
  while (left !== 0) {
    const step = Math.sign(left)
    let best = -1
    for (const [i, n] of cells.entries()) {
      if (n + step < 1) continue
      if (best < 0 || (ideal[i] - n) * step > (ideal[best] - cells[best]) * step) best = i
    }
    if (best < 0) break
    cells[best] += step
    left -= step
  }
  return cells
}

/** What a cell of a place's bar shows: bytes `from … to` of its data. */
const cell = (place: Place, from: number, to: number, glyphs: Glyphs): Cell => {
  const { parity, used, start, state } = place
  if (state === 'unsigned') return [glyphs.none, 'dim']
  if (parity) {
    const first = Math.floor((from / place.room) * parity.blocks.length)
    const last = Math.max(first + 1, Math.ceil((to / place.room) * parity.blocks.length))
    const here = parity.blocks.subarray(first, last)
    if (here.includes(badBlock)) return [glyphs.bad, 'red']
    if (here.includes(correctedBlock)) return [glyphs.corrected, colourOf(place)]
  }
  // Where not even the header makes sense, all of it is lost.
  if (state === 'damaged' && !parity && (used === 0 || from < used)) return [glyphs.bad, 'red']
  if (start > 0 && start < used && start >= from && start < to) return [glyphs.wrap, 'bold']
  // Rounded up: a byte is something.
  return from < used ? [glyphs.used, colourOf(place)] : [glyphs.free, 'dim']
}

type Cell = [glyph: string, style: Style]

/** Draw cells, neighbours of one style in one go. */
const draw = (canvas: Canvas, cells: readonly Cell[]): string => {
  let text = ''
  for (let i = 0; i < cells.length;) {
    const [, style] = cells[i]
    let run = ''
    while (i < cells.length && cells[i][1] === style) run += cells[i++][0]
    text += paint(canvas, style, run)
  }
  return text
}

/** A place's data as a bar. */
export const bar = (canvas: Canvas, place: Place, width: number): string => {
  const glyphs = glyphsOf(canvas)
  const at = (n: number): number => Math.floor((n / width) * place.room)
  return draw(
    canvas,
    Array.from({ length: width }, (_, i) =>
      cell(place, at(i), Math.max(at(i) + 1, at(i + 1)), glyphs),
    ),
  )
}

/** Several places as one bar: a cell shows the worst of those in it. */
const barOf = (canvas: Canvas, { places }: Segment, width: number): string => {
  if (places.length === 1) return bar(canvas, places[0], width)
  const glyphs = glyphsOf(canvas)
  return draw(
    canvas,
    Array.from({ length: width }, (_, i): Cell => {
      const from = Math.floor((i / width) * places.length)
      const to = Math.max(from + 1, Math.floor(((i + 1) / width) * places.length))
      const here = places.slice(from, to)
      const worst =
        here.find(({ state }) => state === 'damaged') ??
        here.find(({ state }) => state === 'sound') ??
        here[0]
      if (worst.state === 'damaged') return [glyphs.bad, 'red']
      if (worst.state === 'sound') return [glyphs.used, colourOf(worst)]
      return [worst.state === 'empty' ? glyphs.free : glyphs.none, 'dim']
    }),
  )
}

/** Put texts at columns, each where it does not touch the one before it. */
const place = (items: readonly { at: number; text: string }[], width: number): string => {
  let line = ''
  for (const { at, text } of items)
    if (at + text.length <= width && (line === '' || at > line.length))
      line = line.padEnd(at) + text
  return line
}

/** The whole store to scale, three lines: names, bars, offsets. */
export const drawMap = (canvas: Canvas, places: readonly Place[]): string => {
  const { border } = glyphsOf(canvas)
  const segments = segmentsOf(places, Math.floor(canvas.width / 4))
  const cells = scale(segments, Math.max(segments.length, canvas.width - segments.length - 1))
  const starts: number[] = []
  let column = 0
  for (const n of cells) {
    starts.push(column + 1)
    column += n + 1
  }
  const names = segments.map(({ label, short }, i) => ({
    at: starts[i],
    text: label.length <= cells[i] ? label : short.slice(0, cells[i]),
  }))
  const offsets = segments.map(({ offset }, i) => ({
    at: starts[i] - 1,
    text: `0x${offset.toString(16)}`,
  }))
  const bars = segments.map((segment, i) => barOf(canvas, segment, cells[i]))
  return [
    place(names, column + 1),
    border + bars.map(text => text + border).join(''),
    place(offsets, column + 1),
  ].join('\n')
}
