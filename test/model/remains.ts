/**
 * What a zone holds that its header does not tell of, the slow way: doc/formats.md 1.10, read a second time
 * for tests.
 */

const character =
  '[\\x08\\t\\n\\r\\x1b\\x20-\\x7e]|[\\xc2-\\xdf][\\x80-\\xbf]|[\\xe0-\\xef][\\x80-\\xbf]{2}|[\\xf0-\\xf4][\\x80-\\xbf]{3}'
const runs = new RegExp(`(?:${character}){8,}`, 'g')

interface Piece {
  from: number
  to: number
  text: string
  others: number
}

const piecesOf = (data: Buffer): Piece[] => {
  const pieces: Piece[] = []
  for (let start = 0; start < data.length; start += 256) {
    const piece = data.subarray(start, start + 256)
    const found = [...piece.toString('latin1').matchAll(runs)]
    const last = found.at(-1)
    pieces.push({
      from: start + (found[0]?.index ?? 0),
      to: last ? start + last.index + last[0].length : 0,
      text: found.map(([run]) => run).join(''),
      others: piece.filter(byte => byte !== 0 && byte !== 255).length,
    })
  }
  return pieces
}

const sum = (pieces: readonly Piece[], of: (piece: Piece) => number): number =>
  pieces.reduce((total, piece) => total + of(piece), 0)

/** Where a text begins and ends; null where there is none. */
export const textIn = (data: Buffer, hasLines: boolean): { from: number; to: number } | null => {
  const pieces = piecesOf(data)
  const isText = ({ text, others }: Piece): boolean =>
    2 * text.length >= others && new Set(text).size >= 4
  const all = pieces.filter(isText)
  const first = pieces.findIndex(piece => !isText(piece))
  const front = first < 0 ? pieces : pieces.slice(0, first)
  const lengthOf = (some: Piece[]): number => sum(some, ({ text }) => text.length)
  const some = 4 * lengthOf(all) >= sum(pieces, ({ others }) => others) ? all : front
  const lines = sum(some, ({ text }) => text.split('\n').length - 1)
  if (lengthOf(some) < 16 || (hasLines && lines < Math.floor(lengthOf(some) / 256))) return null
  return { from: some[0].from, to: some.at(-1)!.to }
}

/** Are there records of ftrace? */
export const tracesIn = (data: Buffer): boolean => {
  const last = data.findLastIndex(byte => byte !== 0 && byte !== 255)
  const some = data.subarray(0, Math.min(1024, last + 1))
  if (some.filter(byte => byte === 0).length > 0.45 * some.length) return false
  const share = (distance: number): number =>
    some.filter((byte, at) => at >= distance && byte === some[at - distance]).length /
    (some.length - distance)
  return [24, 16, 12].some(
    size =>
      some.length >= 4 * size &&
      share(size) >= 0.3 &&
      share(size) >= 1.5 * share(4) &&
      share(size) >= 1.5 * share(8),
  )
}

/**
 * Is anything there?
 *
 * @param dump the body of the dump that the data begin with; null where they begin otherwise
 */
export const isSomething = (
  kind: string,
  data: Buffer,
  dump: { compressed: boolean; body: Buffer } | null,
): boolean => {
  if (data.length < 16) return false
  if (dump?.compressed) return true
  if (dump && ![0, 255, undefined].includes(dump.body[0])) return true
  if (kind === 'ftrace' && tracesIn(data)) return true
  return textIn(data, kind !== 'pmsg') !== null
}

/** Changes of at most three bits of a u32. */
const masks: number[] = []
for (let a = 0; a < 32; a++)
  for (let b = 0; b <= a; b++)
    for (let c = 0; c <= b; c++) masks.push(((1 << a) | (1 << b) | (1 << c)) >>> 0)

/** Is a value at most three bits from one that is right? */
export const isNear = (value: number, isRight: (value: number) => boolean): boolean =>
  masks.some(mask => isRight((value ^ mask) >>> 0))
