/** A store as a picture of text: its zones to scale, and their fill. */
import { styleText } from 'node:util'
import {
  badBlock,
  correctedBlock,
  type Condition,
  type ConditionState,
} from '../../pstore/condition.js'
import type { RecordType } from '../../pstore/types.js'

/** The abilities of the terminal. */
export interface Canvas {
  /** Columns. */
  width: number
  colour: boolean
  /** False: only ASCII. */
  unicode: boolean
}

type Style = Parameters<typeof styleText>[0]

interface Glyphs {
  used: string
  free: string
  /** A place without a zone. */
  none: string
  corrected: string
  bad: string
  /** The boundary between a ring's newest byte and its oldest. */
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
  'boot-log': 'white',
}

const colourOf = ({ type }: Condition): Style => colours[type] ?? 'reset'

export const paint = (canvas: Canvas, style: Style, text: string): string =>
  canvas.colour ? styleText(style, text, { validateStream: false }) : text

/** A place, or a run of places of one type that are too narrow to be drawn each. */
interface MapSegment {
  readonly first: Condition
  /** The index of the last place. */
  last: number
  /** The state of each place. */
  readonly states: ConditionState[]
  length: number
}

/** The segments' labels; the only segment of a type needs no number. */
const labelsOf = (segments: readonly MapSegment[]): string[] => {
  const kinds = new Map<RecordType, number>()
  for (const { first } of segments) kinds.set(first.type, (kinds.get(first.type) ?? 0) + 1)
  return segments.map(({ first: { type, index }, last, states }) => {
    if (states.length > 1) return `${type} ${index}-${last}`
    return kinds.get(type)! > 1 ? `${type} ${index}` : type
  })
}

/** Each segment's number of cells: to scale, at least one, and `width` in all if the segments fit. */
const scale = (segments: readonly MapSegment[], width: number): number[] => {
  const total = segments.reduce((sum, { length }) => sum + length, 0)
  const ideal = segments.map(({ length }) => (length / total) * width)
  const cells = ideal.map(n => Math.max(1, Math.floor(n)))
  let left = width - cells.reduce((sum, n) => sum + n, 0)
  // Rounding leaves some cells over or missing: the segment farthest from its share gets or gives one.
  while (left !== 0) {
    const step = Math.sign(left)
    let best = -1
    for (const [i, n] of cells.entries()) {
      if (n + step < 1) continue
      if (best < 0 || (ideal[i]! - n) * step > (ideal[best]! - cells[best]!) * step) best = i
    }
    if (best < 0) break
    cells[best]! += step
    left -= step
  }
  return cells
}

/** The cell of a place's bar that shows bytes `from … to` of its data. */
const cell = (place: Condition, from: number, to: number, glyphs: Glyphs): Cell => {
  const { parity, used, start, state } = place
  if (state === 'unsigned') return [glyphs.none, 'dim']
  if (parity) {
    const first = Math.floor((from / place.room) * parity.blocks.length)
    const last = Math.max(first + 1, Math.ceil((to / place.room) * parity.blocks.length))
    const here = parity.blocks.subarray(first, last)
    if (here.includes(badBlock)) return [glyphs.bad, 'red']
    if (here.includes(correctedBlock)) return [glyphs.corrected, colourOf(place)]
  }
  // Without a sound header all of the zone is lost.
  if (state === 'damaged' && !parity && (used === 0 || from < used)) return [glyphs.bad, 'red']
  if (start > 0 && start < used && start >= from && start < to) return [glyphs.wrap, 'bold']
  // Rounded up: even one byte shows.
  return from < used ? [glyphs.used, colourOf(place)] : [glyphs.free, 'dim']
}

type Cell = [glyph: string, style: Style]

/** Draw cells; neighbours of one style share their escape sequences. */
const draw = (canvas: Canvas, cells: readonly Cell[]): string => {
  let text = ''
  let run = ''
  for (const [i, [glyph, style]] of cells.entries()) {
    run += glyph
    if (cells[i + 1]?.[1] === style) continue
    text += paint(canvas, style, run)
    run = ''
  }
  return text
}

/** A place's data as a bar. */
export const bar = (canvas: Canvas, place: Condition, width: number): string => {
  const glyphs = glyphsOf(canvas)
  const at = (n: number): number => Math.floor((n / width) * place.room)
  return draw(
    canvas,
    Array.from({ length: width }, (_, i) =>
      cell(place, at(i), Math.max(at(i) + 1, at(i + 1)), glyphs),
    ),
  )
}

/** Several places as one bar: each cell shows the worst state in it. */
const barOf = (canvas: Canvas, { first, states }: MapSegment, width: number): string => {
  if (states.length === 1) return bar(canvas, first, width)
  const glyphs = glyphsOf(canvas)
  return draw(
    canvas,
    Array.from({ length: width }, (_, i): Cell => {
      const from = Math.floor((i / width) * states.length)
      const to = Math.max(from + 1, Math.floor(((i + 1) / width) * states.length))
      const here = states.slice(from, to)
      if (here.includes('damaged')) return [glyphs.bad, 'red']
      if (here.includes('sound')) return [glyphs.used, colourOf(first)]
      return [here[0] === 'unsigned' ? glyphs.none : glyphs.free, 'dim']
    }),
  )
}

/** Put labels at their columns; a label that would touch the one before it is left out. */
const putLabels = (items: readonly { at: number; text: string }[], width: number): string => {
  let line = ''
  for (const { at, text } of items)
    if (at + text.length <= width && (line === '' || at > line.length))
      line = line.padEnd(at) + text
  return line
}

const segmentOf = (place: Condition): MapSegment => ({
  first: place,
  last: place.index,
  states: [place.state],
  length: place.length,
})

/** The whole store to scale: a segment for each place, or for each run of a type where places are too many. */
export class StoreMap {
  readonly #most: number
  /** The first places: at most one more than fit. */
  readonly #each: MapSegment[] = []
  readonly #runs: MapSegment[] = []
  #isEmpty = true

  constructor(readonly canvas: Canvas) {
    this.#most = Math.floor(canvas.width / 4)
  }

  /** Take up places as they pass by. */
  *adding(places: Iterable<Condition>): Generator<Condition, void, void> {
    for (const place of places) {
      this.#isEmpty = false
      // What is said of the store as a whole has no place in it.
      if (place.length === 0) {
        yield place
        continue
      }
      if (this.#each.length <= this.#most) this.#each.push(segmentOf(place))
      const run = this.#runs.at(-1)
      if (run?.first.type === place.type) {
        run.last = place.index
        run.states.push(place.state)
        run.length += place.length
      } else this.#runs.push(segmentOf(place))
      yield place
    }
  }

  get isEmpty(): boolean {
    return this.#isEmpty
  }

  /** Whether the places have offsets; EFI variables have none. */
  get hasOffsets(): boolean {
    const [segment] = this.#each
    return segment !== undefined && segment.first.offset !== null
  }

  /** Three lines: names, bars, offsets. */
  draw(): string {
    const { canvas } = this
    const { border } = glyphsOf(canvas)
    const segments = this.#each.length > this.#most ? this.#runs : this.#each
    const cells = scale(segments, Math.max(segments.length, canvas.width - segments.length - 1))
    const starts: number[] = []
    let column = 0
    for (const n of cells) {
      starts.push(column + 1)
      column += n + 1
    }
    const names = labelsOf(segments).map((label, i) => ({
      at: starts[i]!,
      text: label.length <= cells[i]! ? label : segments[i]!.first.type.slice(0, 1),
    }))
    const offsets = segments.map(({ first }, i) => ({
      at: starts[i]! - 1,
      text: `0x${(first.offset ?? 0).toString(16)}`,
    }))
    const bars = segments.map((segment, i) => barOf(canvas, segment, cells[i]!))
    return [
      putLabels(names, column + 1),
      border + bars.map(text => text + border).join(''),
      putLabels(offsets, column + 1),
    ].join('\n')
  }
}
