/**
 * What bytes hold that no header tells of: a text, ftrace's records, or nothing but noise.
 *
 * Source: doc/formats.md 1.10, where these numbers are. Each takes one pass, and keeps nothing of the bytes.
 */

/** Bytes `from … to` of some others. */
export interface Stretch {
  readonly from: number
  readonly to: number
}

/** Fewer bytes are not looked at, and as many bytes of text are the least that are believed. */
export const leastRemains = 16
/** A text is looked for in pieces of so many bytes: between two of noise it is not lost. */
const pieceSize = 256
/** Characters that follow each other by chance are fewer: two in five bytes of noise are printable. */
const leastRun = 8
/** So many bytes that differ: what fills fresh memory has fewer. */
const leastVariety = 4

/** There are more line feeds in a text than one in so many bytes. */
const longestLine = 256
const lineFeed = 0x0a

/** A byte that erased flash or fresh memory is full of. */
export const isFiller = (byte: number | undefined): boolean => byte === 0 || byte === 0xff

/** How many of some bytes are left without what fills the rest of a zone behind them. */
export const withoutFiller = (bytes: Buffer): number => {
  let length = bytes.length
  while (length > 0 && isFiller(bytes[length - 1])) length--
  return length
}

/** Where the text of a plain dump ends that nobody says the length of: before the first filler. */
export const endOfPlain = (bytes: Buffer): number => {
  const end = bytes.findIndex(isFiller)
  return end < 0 ? bytes.length : end
}

/** By byte: how many bytes long the character is that begins with it; 0: none that a text has. */
const lengths = Uint8Array.from({ length: 256 }, (_, byte) => {
  if ((byte >= 0x20 && byte < 0x7f) || [8, 9, 10, 13, 27].includes(byte)) return 1
  if (byte < 0xc2 || byte > 0xf4) return 0
  return byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
})

/** The length of the character at a place, in bytes: 0 where there is none of a text. */
const characterAt = (bytes: Buffer, at: number, end: number): number => {
  const length = lengths[bytes[at]!]!
  if (at + length > end) return 0
  for (let n = 1; n < length; n++) if ((bytes[at + n]! & 0xc0) !== 0x80) return 0
  return length
}

/** Which bytes a piece has in its runs: one number for each that is there, so that nothing is cleared. */
const seen = new Uint32Array(256)
let turn = 0

/** What the piece that was looked at last holds: nothing is made for each. */
const piece = { from: 0, to: 0, text: 0, lines: 0, variety: 0, others: 0, isText: false }

const addRun = (bytes: Buffer, from: number, to: number): void => {
  if (piece.text === 0) piece.from = from
  piece.to = to
  piece.text += to - from
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!
    if (byte === lineFeed) piece.lines++
    if (seen[byte] !== turn) piece.variety++
    seen[byte] = turn
  }
}

const lookAtPiece = (bytes: Buffer, start: number, end: number): void => {
  turn++
  piece.text = piece.lines = piece.variety = piece.others = 0
  let [run, from, fillers] = [0, start, 0]
  for (let at = start, length: number; at < end; at += length) {
    length = characterAt(bytes, at, end)
    if (length > 0) {
      run++
      continue
    }
    if (run >= leastRun) addRun(bytes, from, at)
    if (isFiller(bytes[at])) fillers++
    run = 0
    length = 1
    from = at + 1
  }
  if (run >= leastRun) addRun(bytes, from, end)
  piece.others = end - start - fillers
  piece.isText = 2 * piece.text >= piece.others && piece.variety >= leastVariety
}

/**
 * A text: in the front of some bytes, or as a quarter of all that is there.
 *
 * @param hasLines it has a line feed now and then; the strings of a program have few
 * @returns from its first byte to its last; null where the bytes are noise, code or nothing
 */
export const findText = (bytes: Buffer, hasLines: boolean): Stretch | null => {
  /** Of all pieces that are text, and of those that follow each other from the first on. */
  const all = { from: 0, to: 0, text: 0, lines: 0 }
  let front = { ...all }
  let others = 0
  let isFront = true
  for (let start = 0; start < bytes.length; start += pieceSize) {
    lookAtPiece(bytes, start, Math.min(start + pieceSize, bytes.length))
    others += piece.others
    isFront &&= piece.isText
    if (!piece.isText) continue
    if (all.text === 0) all.from = piece.from
    all.to = piece.to
    all.text += piece.text
    all.lines += piece.lines
    if (isFront) front = { ...all }
  }
  const { from, to, text, lines } = 4 * all.text >= others ? all : front
  if (text < leastRemains || (hasLines && lines < Math.floor(text / longestLine))) return null
  return { from, to }
}

/** ftrace's records are looked for in so many bytes. */
const traceLength = 1024
/** Bytes of a record, by kernels and word sizes (doc/formats.md 7.4), but for those of 8. */
const recordSizes = [24, 16, 12]

/** The share of bytes that are the same so many bytes later. */
const repeated = (bytes: Buffer, distance: number): number => {
  let same = 0
  for (let at = distance; at < bytes.length; at++) if (bytes[at] === bytes[at - distance]) same++
  return same / (bytes.length - distance)
}

/**
 * Do bytes repeat as ftrace's records do? Addresses of one kernel begin alike, and so do times of one moment;
 * but only a whole record later, which tells them from tables of pointers.
 */
export const isTrace = (bytes: Buffer): boolean => {
  const some = bytes.subarray(0, Math.min(traceLength, withoutFiller(bytes)))
  const zeros = some.reduce((sum, byte) => sum + Number(byte === 0), 0)
  if (zeros > 0.45 * some.length) return false
  return recordSizes.some(size => {
    if (some.length < 4 * size) return false
    const share = repeated(some, size)
    return share >= 0.3 && [4, 8].every(part => share >= 1.5 * repeated(some, part))
  })
}
