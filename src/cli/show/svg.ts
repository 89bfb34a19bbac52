/** A store as an SVG picture for reports: the map to scale, and the table as text. */
import {
  badBlock,
  correctedBlock,
  type Condition,
  type ConditionState,
} from '../../pstore/condition.js'
import type { RecordType } from '../../pstore/types.js'
import { cellsOf, runsOf, wrap, type Run } from './describe.js'
import { Rows } from './rows.js'

const width = 1000
const margin = 20
const inner = width - 2 * margin
const mapTop = 70
const mapHeight = 60
const rowHeight = 22
const lineHeight = 16
/** The left edges of the table's columns. */
const columns = { zone: 18, offset: 140, size: 240, used: 330, state: 390 }
/** Characters that fit into the last column, 7.3 pixels each. */
const stateWidth = Math.floor((inner - columns.state) / 7.3)

/** Readable on white and on black. */
const colours: { readonly [type in RecordType]?: string } = {
  dmesg: '#3b8ea5',
  console: '#4c9a52',
  pmsg: '#c2568f',
  tty: '#4f6fc4',
  ftrace: '#7a5c99',
  'boot-log': '#8a8a8a',
}

const escapeXml = (text: string): string =>
  text
    // XML has no escape for these.
    // oxlint-disable-next-line no-control-regex -- it matches controls on purpose
    .replaceAll(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')

const rect = (x: number, y: number, w: number, h: number, attributes: string): string =>
  `<rect x="${x.toFixed(2)}" y="${y}" width="${Math.max(0.5, w).toFixed(2)}" height="${h}" ${attributes}/>`

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(2)}" y="${y}" ${attributes}>${escapeXml(content)}</text>`

/** Stretches of blocks in one state, as fractions of the whole: a thousand neighbours become one rectangle. */
const stretches = (blocks: Uint8Array, state: number): [from: number, to: number][] => {
  const found: [number, number][] = []
  for (let at = blocks.indexOf(state); at >= 0; at = blocks.indexOf(state, at)) {
    const from = at
    while (blocks[at] === state) at++
    found.push([from / blocks.length, at / blocks.length])
  }
  return found
}

/** The most stretches that are drawn of a place: more cannot be told apart. */
const mostStretches = 500

/** The drawing of a place, or of a run of empty places; parts are fractions of its width. */
interface Drawn extends Omit<ReturnType<typeof cellsOf>, 'words'> {
  type: RecordType
  length: number
  state: ConditionState
  /** The lines of the last column. */
  words: string[]
  filled: number
  /** The place where a wrapped ring goes on; null for others. */
  wrapped: number | null
  corrected: [from: number, to: number][]
  bad: [from: number, to: number][]
}

const drawnOf = (run: Run): Drawn => {
  const { type, state, used, room, start, parity } = run.first
  const { words, ...cells } = cellsOf(run)
  const blocks = parity?.blocks ?? new Uint8Array()
  return {
    ...cells,
    type,
    length: run.length,
    state,
    words: wrap(words, stateWidth),
    filled: used / Math.max(1, room),
    wrapped: start > 0 && start < used ? start / room : null,
    corrected: stretches(blocks, correctedBlock).slice(0, mostStretches),
    bad: stretches(blocks, badBlock).slice(0, mostStretches),
  }
}

const colourOf = (type: RecordType): string => colours[type] ?? '#888888'
const labelOf = ({ type, indexes }: Drawn): string => `${type} ${indexes}`.trim()

const drawZone = (drawn: Drawn, x: number, w: number): string => {
  const { state, filled, wrapped, corrected, bad } = drawn
  const colour = colourOf(drawn.type)
  const dash = state === 'unsigned' ? 'stroke-dasharray="4 3"' : ''
  const outline = `fill="${colour}" fill-opacity="0.15" stroke="${colour}" ${dash}`
  const part = (from: number, to: number, attributes: string): string =>
    rect(x + from * w, mapTop, (to - from) * w, mapHeight, attributes)
  return [
    `<g><title>${escapeXml(`${labelOf(drawn)}: ${drawn.words.join(' ')}`)}</title>`,
    part(0, 1, outline),
    // `rect` draws at least half a pixel, so an empty part must be left out.
    ...(filled > 0 ? [part(0, filled, `fill="${colour}" fill-opacity="0.8"`)] : []),
    ...corrected.map(([from, to]) => part(from, to, 'fill="#e0a800"')),
    ...bad.map(([from, to]) => part(from, to, 'fill="#d62828"')),
    ...(state === 'damaged' ? [rect(x, mapTop + mapHeight, w, 4, 'fill="#d62828"')] : []),
    ...(wrapped === null
      ? []
      : [rect(x + wrapped * w, mapTop - 4, 1.5, mapHeight + 8, 'class="ink"')]),
    '</g>\n',
  ].join('\n')
}

/** The meanings of colours and lines, below the map. */
const legend = (): string => {
  const signs: readonly (readonly [name: string, sign: (x: number, y: number) => string])[] = [
    ['data', (x, y) => rect(x, y, 10, 10, `fill="${colours.dmesg}" fill-opacity="0.8"`)],
    ['free', (x, y) => rect(x, y, 10, 10, `fill="${colours.dmesg}" fill-opacity="0.15"`)],
    ['corrected', (x, y) => rect(x, y, 10, 10, 'fill="#e0a800"')],
    ['damaged', (x, y) => rect(x, y, 10, 10, 'fill="#d62828"')],
    ['damaged header', (x, y) => rect(x, y + 6, 10, 4, 'fill="#d62828"')],
    ['oldest byte of a ring', (x, y) => rect(x + 4, y, 1.5, 12, 'class="ink"')],
    ['no header', (x, y) => rect(x, y, 10, 10, 'fill="none" class="line" stroke-dasharray="4 3"')],
  ]
  let x = margin
  return signs
    .map(([name, sign]) => {
      const drawn =
        sign(x, mapTop + mapHeight + 32) +
        text(x + 15, mapTop + mapHeight + 42, name, 'class="dim"')
      x += 30 + name.length * 7.3
      return drawn
    })
    .join('\n')
}

/** The map: each place to scale, with its name and offset where they fit. */
function* drawMap(places: Iterable<Drawn>, total: number): Generator<string, void, void> {
  let x = margin
  let labelled = 0
  for (const place of places) {
    const w = (place.length / total) * inner
    yield drawZone(place, x, w)
    const label = labelOf(place)
    if (x >= labelled && w > 4) {
      yield text(x, mapTop - 8, w > label.length * 7.3 ? label : place.type.slice(0, 1))
      yield text(x, mapTop + mapHeight + 20, place.offset, 'class="dim"')
      labelled = x + 70
    }
    x += w
  }
}

const heightOf = ({ words }: Drawn): number => rowHeight + (words.length - 1) * lineHeight

const drawRow = (drawn: Drawn, y: number): string => {
  const { type, offset, size, used, state, words } = drawn
  const attributes = state === 'damaged' ? 'class="bad"' : ''
  return [
    rect(margin, y - 11, 10, 10, `fill="${colourOf(type)}"`),
    text(margin + columns.zone, y, labelOf(drawn)),
    text(margin + columns.offset, y, offset),
    text(margin + columns.size, y, size),
    text(margin + columns.used, y, used),
    ...words.map((line, i) => text(margin + columns.state, y + i * lineHeight, line, attributes)),
    '\n',
  ].join('')
}

function* allDrawn(places: Iterable<Condition>): Generator<Drawn, void, void> {
  for (const run of runsOf(places)) yield drawnOf(run)
}

/**
 * Draw a store.
 *
 * @param title its name, and its facts
 * @param places is asked for once, and again for each pass over a store that has too many to keep
 */
export function* drawSvg(
  title: string,
  places: () => Iterable<Condition>,
): Generator<string, void, void> {
  const rows = new Rows<Drawn>()
  const top = mapTop + mapHeight + 80
  let total = 0
  let height = top + 2 * rowHeight
  for (const drawn of allDrawn(places())) {
    rows.add(drawn)
    total += drawn.length
    height += heightOf(drawn)
  }
  yield `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>
text { font: 12px ui-monospace, monospace; fill: #222222 } .dim { fill: #777777 } .bad { fill: #c02020 }
.ink { fill: #111111 } .line { stroke: #777777 } .paper { fill: #ffffff } .title { font-weight: bold }
@media (prefers-color-scheme: dark) {
text { fill: #dddddd } .dim { fill: #999999 } .bad { fill: #ff7070 } .ink { fill: #ffffff } .paper { fill: #16181c }
}
</style>
<rect class="paper" width="${width}" height="${height}"/>
${text(margin, 30, title, 'class="title"')}
`
  const all = (): Iterable<Drawn> => rows.all(() => allDrawn(places()))
  yield* drawMap(all(), total)
  yield legend()
  for (const [name, x] of Object.entries(columns)) yield text(margin + x, top, name, 'class="dim"')
  let y = top + rowHeight
  for (const drawn of all()) {
    yield drawRow(drawn, y)
    y += heightOf(drawn)
  }
  yield '</svg>\n'
}
