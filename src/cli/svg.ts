/** A store as an SVG picture, for reports: the map to scale, and the table as text. */
import { badBlock, correctedBlock, type Place } from '../pstore/place.js'
import type { RecordType } from '../pstore/types.js'
import { describePlace, humanSize } from './info.js'

const width = 1000
const margin = 20
const inner = width - 2 * margin
const mapTop = 70
const mapHeight = 60
const rowHeight = 22
/** Where the table's columns begin. */
const columns = { zone: 18, offset: 120, size: 220, used: 310, state: 370 }

/** Readable on white and on black. */
const colours: { readonly [type in RecordType]?: string } = {
  dmesg: '#3b8ea5',
  console: '#4c9a52',
  pmsg: '#a05195',
  tty: '#4f6fc4',
  ftrace: '#b8860b',
}

const escape = (text: string): string =>
  text
    // What XML has no way to say.
    // oxlint-disable-next-line no-control-regex
    .replaceAll(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')

const rect = (x: number, y: number, w: number, h: number, attributes: string): string =>
  `<rect x="${x.toFixed(2)}" y="${y}" width="${Math.max(0.5, w).toFixed(2)}" height="${h}" ${attributes}/>`

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(2)}" y="${y}" ${attributes}>${escape(content)}</text>`

/** Runs of blocks in one state, as parts of the whole: a thousand neighbours are one rectangle. */
const runs = (blocks: Uint8Array, state: number): [from: number, to: number][] => {
  const found: [number, number][] = []
  for (let at = blocks.indexOf(state); at >= 0; at = blocks.indexOf(state, at)) {
    const from = at
    while (blocks[at] === state) at++
    found.push([from / blocks.length, at / blocks.length])
  }
  return found
}

/** How many runs a place draws: more are no picture. */
const mostRuns = 500

const drawPlace = (place: Place, x: number, w: number): string => {
  const colour = colours[place.type] ?? '#888888'
  const dash = place.state === 'unsigned' ? 'stroke-dasharray="4 3"' : ''
  const title = `<title>${escape(`${place.type} ${place.index}: ${describePlace(place)}`)}</title>`
  const parts = [
    `<g>${title}`,
    rect(
      x,
      mapTop,
      w,
      mapHeight,
      `fill="${colour}" fill-opacity="0.15" stroke="${colour}" ${dash}`,
    ),
    rect(
      x,
      mapTop,
      (place.used / place.room) * w,
      mapHeight,
      `fill="${colour}" fill-opacity="0.8"`,
    ),
  ]
  for (const [state, fill] of [
    [correctedBlock, '#e0a800'],
    [badBlock, '#d62828'],
  ] as const)
    for (const [from, to] of runs(place.parity?.blocks ?? new Uint8Array(), state).slice(
      0,
      mostRuns,
    ))
      parts.push(rect(x + from * w, mapTop, (to - from) * w, mapHeight, `fill="${fill}"`))
  if (place.state === 'damaged') parts.push(rect(x, mapTop + mapHeight, w, 4, 'fill="#d62828"'))
  if (place.start > 0 && place.start < place.used)
    parts.push(
      rect(x + (place.start / place.room) * w, mapTop - 4, 1.5, mapHeight + 8, 'class="ink"'),
    )
  parts.push('</g>\n')
  return parts.join('\n')
}

/** The map: each place to scale, and its name and offset where there is room. */
function* drawMap(places: Iterable<Place>, total: number): Generator<string, void, void> {
  let x = margin
  let labelled = 0
  for (const place of places) {
    const w = (place.length / total) * inner
    yield drawPlace(place, x, w)
    const label = `${place.type} ${place.index}`
    if (x >= labelled && w > 4) {
      yield text(x, mapTop - 8, w > label.length * 7 ? label : place.type[0])
      const offset = `0x${(place.offset ?? 0).toString(16)}`
      yield text(x, mapTop + mapHeight + 20, offset, 'class="dim"')
      labelled = x + 70
    }
    x += w
  }
}

const drawRow = (place: Place, y: number): string =>
  [
    rect(margin, y - 11, 10, 10, `fill="${colours[place.type] ?? '#888888'}"`),
    text(margin + columns.zone, y, `${place.type} ${place.index}`),
    text(margin + columns.offset, y, place.offset === null ? '' : `0x${place.offset.toString(16)}`),
    text(margin + columns.size, y, humanSize(place.length)),
    text(margin + columns.used, y, `${Math.ceil((place.used / place.room) * 100)} %`),
    text(
      margin + columns.state,
      y,
      describePlace(place),
      place.state === 'damaged' ? 'class="bad"' : '',
    ),
    '\n',
  ].join('')

/**
 * Draw a store.
 *
 * @param title says what it is
 */
export function* drawSvg(
  title: string,
  places: () => Iterable<Place>,
): Generator<string, void, void> {
  let [count, total] = [0, 0]
  for (const { length } of places()) {
    count++
    total += length
  }
  const top = mapTop + mapHeight + 60
  const height = top + (count + 2) * rowHeight
  yield `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<style>
text { font: 12px ui-monospace, monospace; fill: #222222 } .dim { fill: #777777 } .bad { fill: #c02020 }
.ink { fill: #111111 } .paper { fill: #ffffff } .title { font-weight: bold }
@media (prefers-color-scheme: dark) {
text { fill: #dddddd } .dim { fill: #999999 } .bad { fill: #ff7070 } .ink { fill: #ffffff } .paper { fill: #16181c }
}
</style>
<rect class="paper" width="${width}" height="${height}"/>
${text(margin, 30, title, 'class="title"')}
`
  yield* drawMap(places(), total)
  for (const [name, x] of Object.entries(columns)) yield text(margin + x, top, name, 'class="dim"')
  let y = top
  for (const place of places()) yield drawRow(place, (y += rowHeight))
  yield '</svg>\n'
}
