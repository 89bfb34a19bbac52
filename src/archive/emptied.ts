/**
 * A ring that is emptied while a guest appends to it. The guest takes no lock, so between the last look and the
 * store that empties the ring there is always a moment in which more can come. But emptying leaves the bytes
 * (doc/formats.md 1.5), so what came can be told: by the header of the moment before, and by the bytes behind the
 * ring's end that are not what they were.
 *
 * Source: fs/pstore/ram_core.c (persistent_ram_write): the header moves first, by reading and setting each number,
 * so that a guest may also set one of them over the emptied header, or store its bytes a little later.
 */
import { advance, type Ring, type RingPosition } from '../pstore/ring.js'
import { Shape } from '../pstore/shape.js'
import { StoreError } from '../pstore/errors.js'

/** How many bytes before a ring's end are looked at, for an append of which the header came first. */
const before = 1024
/** How many bytes behind it: of more that comes in a moment it is said that there was more. */
const behind = 65536
const lineFeed = 0x0a
/** How often a ring is looked at until it rests for as long as the bytes at its end take to be read. */
const mostLooks = 100
/** How many bytes tell where one text goes on in another, and how many places are tried. */
const probeLength = 64
const mostProbes = 16

/** A ring's state before it is emptied. */
export interface Ending {
  readonly at: RingPosition
  /** The ring's bytes from shortly before its end to far behind it, round its end, as they lie there. */
  readonly window: Buffer
}

/** A ring's end, and its text up to there, but for what was overwritten while it was read. */
export interface Look extends Ending {
  readonly text: Buffer
}

const same = (a: RingPosition, b: RingPosition): boolean => a.start === b.start && a.size === b.size

/** Where the window begins, from the ring's end on, and how long it is. */
const windowOf = ({ length }: Ring, { size }: RingPosition): { back: number; count: number } => {
  const back = Math.min(before, size, length >> 2)
  return { back, count: back + Math.min(behind, length - back) }
}

/** Bytes of a ring from a place on, round its end. */
const around = (ring: Ring, from: number, count: number): Buffer => {
  const place = (from + ring.length) % ring.length
  const first = Math.min(count, ring.length - place)
  const head = ring.slice(place, first)
  return first === count ? head : Buffer.concat([head, ring.slice(0, count - first)])
}

const loadWindow = (ring: Ring, at: RingPosition): Buffer => {
  const { back, count } = windowOf(ring, at)
  return around(ring, at.start - back, count)
}

/**
 * Look at a ring, to empty it.
 *
 * @returns null where its end never rests
 * @throws StoreError (EIO) where the source cannot be read
 */
export const lookAt = (ring: Ring): Look | null => {
  for (let n = 0; n < mostLooks; n++) {
    const at = ring.position()
    if (!at.settled || !at.whole) continue
    const window = loadWindow(ring, at)
    if (!same(at, ring.position())) continue
    const text = around(ring, at.size < ring.length ? 0 : at.start, at.size)
    const passed = advance(at, ring.position(), ring.length)
    // A ring that is not full has room for some of what came meanwhile.
    const over = passed < 0 ? at.size : Math.max(0, passed - (ring.length - at.size))
    return { at, window, text: text.subarray(over) }
  }
  return null
}

/**
 * How many of a ring's last bytes were appended since it was copied.
 *
 * @param isFull the oldest bytes may have given way
 * @returns null where the text does not go on from the copy
 */
export const appendedSince = (copy: Buffer, text: Buffer, isFull: boolean): number | null => {
  if (text.subarray(0, copy.length).equals(copy)) return text.length - copy.length
  if (!isFull || text.length === 0) return null
  const probe = text.subarray(0, probeLength)
  let from = 0
  for (let n = 0; n < mostProbes; n++) {
    const found = copy.indexOf(probe, from)
    if (found < 0) return null
    const overlap = copy.length - found
    if (overlap <= text.length && copy.subarray(found).equals(text.subarray(0, overlap)))
      return text.length - overlap
    from = found + 1
  }
  return null
}

/** Is a ring as it was, but for what was appended since? Then nobody emptied it, or a guest undid that. */
export const isStill = (ring: Ring, { at, window }: Ending): boolean => {
  const now = ring.position()
  if (now.size < at.size || advance(at, now, ring.length) < 0) return false
  const { back } = windowOf(ring, at)
  return around(ring, at.start - back, back).equals(window.subarray(0, back))
}

/** What came into a ring between the look before it was emptied and that. */
export interface Between {
  readonly bytes: Buffer
  /** There may have been more, which is lost: text of later lies where it lay, or it was longer than the window. */
  readonly more: boolean
}

/** Looks at a ring after it was emptied, as often as wanted: what a guest was about to store may come later. */
export class Aftermath {
  /** The window as it was last seen before text that came later covered it. */
  readonly #seen: Buffer
  readonly #back: number
  /** Which byte of the window later text lay on already at the first look, so that nobody knows what was there. */
  #covered = -1
  #isTorn = false

  /** @param known how many bytes came, by the header of the moment before the ring was emptied */
  constructor(
    readonly ring: Ring,
    readonly ending: Ending,
    readonly known: number,
  ) {
    this.#seen = Buffer.from(ending.window)
    this.#back = windowOf(ring, ending.at).back
  }

  /** @throws StoreError (EIO) where the source cannot be read */
  look(): void {
    const { ring, ending } = this
    const { at } = ending
    const now = loadWindow(ring, at)
    // After the bytes: what was there when they were read is known to have been there.
    const { size } = ring.position()
    const first = (at.start - this.#back + ring.length) % ring.length
    // Text of the emptied ring lies at its front.
    const isLater = (n: number): boolean => (first + n) % ring.length < size
    for (let n = 0; n < now.length; n++) if (!isLater(n)) this.#seen[n] = now[n] ?? 0
    if (this.#covered >= 0) return
    this.#covered = this.#back
    while (this.#covered < now.length && !isLater(this.#covered)) this.#covered++
  }

  /**
   * Empty a ring again whose header does not come to rest: a guest that was in the midst of an append has set one number
   * over the emptied header, and all that it appends would be hidden. Where its line is, nobody knows.
   *
   * @throws StoreError where the store cannot be written
   */
  mend(): void {
    this.ring.empty()
    this.#isTorn = true
  }

  /**
   * Where the line ends in whose midst the last byte is that is not what it was: its rest may be the same as in the
   * line that lay there before. Linux's console takes whole lines.
   */
  #lineEnd(to: number, most: number): number {
    const { type } = this.ring
    const isText = type === 'console' || type === 'tty'
    if (!isText || this.#seen[to - 1] === lineFeed) return to
    const rest = this.#seen.subarray(to, Math.min(to + before, most)).indexOf(lineFeed)
    return rest < 0 ? to : to + rest + 1
  }

  get between(): Between {
    const { window } = this.ending
    const [back, most] = [this.#back, this.#covered]
    let from = 0
    while (from < back && this.#seen[from] === window[from]) from++
    let to = most
    while (to > from && this.#seen[to - 1] === window[to - 1]) to--
    const known = Math.min(back + this.known, most)
    if (this.#isTorn) return { bytes: this.#seen.subarray(back, known), more: true }
    const end = to > known ? this.#lineEnd(to, most) : known
    const bytes = this.#seen.subarray(from, end)
    // It goes on where nobody can look, or may have come there only.
    const more = end === most && (bytes.length > 0 || most < window.length)
    return { bytes, more }
  }
}

const format = 'pstorefs ring 1'

/** An ending and the text before it that no copy has, for whoever goes on after a kill. */
export interface Intent extends Ending {
  readonly tail: Buffer
}

export const encodeIntent = ({ at, window, tail }: Intent): Buffer[] => {
  const { start, size } = at
  const line = { format, start, size, tail: tail.length, window: window.length }
  return [Buffer.from(`${JSON.stringify(line)}\n`), tail, window]
}

/** @throws StoreError (EIO) where it is none of that ring's */
export const decodeIntent = (bytes: Buffer, ring: Ring): Intent => {
  const end = bytes.indexOf('\n') + 1
  const shape = Shape.parse(bytes.toString('utf8', 0, end), 'what it begins with')
  shape.member('format').one([format])
  const count = (name: string): number => shape.member(name).count()
  const at = { start: count('start'), size: count('size') }
  const [tail, window] = [count('tail'), count('window')]
  const isOurs =
    at.start < ring.length &&
    at.size <= ring.length &&
    windowOf(ring, at).count === window &&
    end + tail + window === bytes.length
  if (!isOurs) throw new StoreError('its lengths are those of another ring', 'EIO')
  return { at, tail: bytes.subarray(end, end + tail), window: bytes.subarray(end + tail) }
}
