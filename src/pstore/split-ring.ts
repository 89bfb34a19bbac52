/**
 * A ring in a store that keeps numbered records and no rings: pieces of a stream, each with its place
 * in it, the oldest dropped first. What the kernel's pstore never had for EFI and ERST.
 *
 * A piece that has room is replaced by one with more text, and goes once that is there; so a kill at
 * any moment leaves pieces that overlap, never a gap, and each byte is still shown once.
 */
import type { Glance, Loaded, RingArea, Slot, StoreLock } from './driver.js'
import type { StoreError } from './errors.js'
import type { Pace, RingType } from './types.js'

/** The rings that can be kept in pieces. */
export const splitRingTypes = ['tty', 'console', 'pmsg'] as const satisfies RingType[]
export type SplitRingType = (typeof splitRingTypes)[number]

export const isSplitRingType = (type: string): type is SplitRingType =>
  splitRingTypes.some(ring => ring === type)

/** How a store without rings keeps them; sizes in bytes. */
export interface SplitRingParameters {
  /** 0, the default: none. */
  tty_size?: number
  console_size?: number
  pmsg_size?: number
  /** How long text waits for more. Default: 60. */
  batch_seconds?: number
  /** How many stores an hour may see, in the long run. Default: 12. */
  writes_per_hour?: number
}

/** The pace of streams into a store whose pieces have so many bytes. */
const paceOf = (
  { batch_seconds: seconds = 60, writes_per_hour: perHour = 12 }: SplitRingParameters,
  bytes: number,
): Pace => ({ bytes, seconds, perHour })

/** One piece of a stream. */
export interface Piece {
  /** How many bytes of the stream came before it. */
  readonly position: bigint
  /** Its bytes. */
  readonly length: number
}

/** Where the pieces of one stream are kept. */
export interface PieceStore<P extends Piece> {
  /** Bytes that one piece can hold. */
  readonly room: number
  /**
   * The pieces at this moment, in any order, with or without ones that others took the place of.
   *
   * @param told is told of each place that cannot be read, of which nobody knows whether it holds a piece
   * @throws StoreError (EIO) where there is such a place and nobody is told
   */
  pieces(told?: (place: unknown, error: StoreError) => void): readonly P[]
  /** Changes when the piece, or what holds it, does. */
  versionOf(piece: P): string
  /** A piece's bytes; null where it has gone meanwhile. */
  load(piece: P): Buffer | null
  add(position: bigint, bytes: Uint8Array): void
  remove(piece: P): void
}

/** The largest position: what media say beyond it is no writer's. */
export const lastPosition = 2n ** 62n

const endOf = ({ position, length }: Piece): bigint => position + BigInt(length)

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)

/** The pieces that show something, in the stream's order, and how much of each the one before shows. */
const inOrder = <P extends Piece>(pieces: readonly P[]): { piece: P; shown: number }[] => {
  const sorted = pieces.toSorted((a, b) => compare(a.position, b.position) || b.length - a.length)
  const chain: { piece: P; shown: number }[] = []
  let end = 0n
  for (const piece of sorted) {
    if (endOf(piece) <= end) continue
    chain.push({ piece, shown: piece.position < end ? Number(end - piece.position) : 0 })
    end = endOf(piece)
  }
  return chain
}

/** How long the stream's text is that the pieces hold, in bytes. */
export const sizeOfPieces = (pieces: readonly Piece[]): number =>
  inOrder(pieces).reduce((size, { piece, shown }) => size + piece.length - shown, 0)

/** The pieces that can be found, of a store of which a part cannot be read: that may hold pieces, too. */
const found = <P extends Piece>(store: PieceStore<P>): readonly P[] => store.pieces(() => {})

/**
 * The text that the pieces hold.
 *
 * @throws StoreError (EIO) where a piece cannot be read, or what is missing between two may be what cannot
 */
export const joinPieces = <P extends Piece>(store: PieceStore<P>): Buffer => {
  let failure: StoreError | null = null
  const chain = inOrder(store.pieces((_, error) => (failure ??= error)))
  const isWhole = chain.every(
    ({ piece }, i) => i === 0 || piece.position <= endOf(chain[i - 1]!.piece),
  )
  if (failure !== null && !isWhole) throw failure as StoreError
  return Buffer.concat(
    chain.map(({ piece, shown }) => store.load(piece)?.subarray(shown) ?? Buffer.alloc(0)),
  )
}

/**
 * Append to the stream: one store for what fits into the newest piece, else one for each that is new.
 *
 * @param most how many pieces are kept
 */
export const appendPieces = <P extends Piece>(
  store: PieceStore<P>,
  most: number,
  bytes: Uint8Array,
): void => {
  const { room } = store
  const last = inOrder(store.pieces()).at(-1)?.piece
  // Of more than the ring holds, only the end stays.
  let text = bytes.subarray(Math.max(0, bytes.length - most * room))
  let position = (last ? endOf(last) : 0n) + BigInt(bytes.length - text.length)
  const head = last && last.length + text.length <= room ? store.load(last) : null
  if (last && head) {
    text = Buffer.concat([head, text])
    position = last.position
  }
  for (let at = 0; at < text.length; at += room) {
    store.add(position + BigInt(at), text.subarray(at, at + room))
    dropOldest(store, most)
  }
}

/**
 * Drop all but the newest pieces. First those that others took the place of, as they would come to light
 * again; then the oldest first: a kill in between leaves no hole.
 */
const dropOldest = <P extends Piece>(store: PieceStore<P>, most: number): void => {
  const all = found(store)
  const chain = inOrder(all).map(({ piece }) => piece)
  const shown = new Set(chain)
  for (const piece of all) if (!shown.has(piece)) store.remove(piece)
  for (const piece of chain.slice(0, Math.max(0, chain.length - most))) store.remove(piece)
}

/** Take the whole stream out of the store. */
export const erasePieces = <P extends Piece>(store: PieceStore<P>): void => dropOldest(store, 0)

/** A ring in pieces, as the core sees it: a slot to read, and an area to append to. */
export class SplitRing<P extends Piece> implements Slot, RingArea {
  readonly label: string
  readonly id = 0n
  readonly ftrace = null
  readonly deep = false
  readonly live = null

  constructor(
    readonly type: SplitRingType,
    readonly pieces: PieceStore<P>,
    readonly parameters: SplitRingParameters,
    readonly lock: StoreLock,
  ) {
    this.label = type
  }

  /** How many pieces are kept. */
  get #most(): number {
    return Math.ceil((this.parameters[`${this.type}_size`] ?? 0) / this.pieces.room)
  }

  get room(): number {
    return this.pieces.room * this.#most
  }

  get pace(): Pace {
    return paceOf(this.parameters, this.pieces.room)
  }

  /** Bytes of its text. */
  get size(): number {
    return sizeOfPieces(found(this.pieces))
  }

  glance(): Glance {
    const pieces = found(this.pieces)
    return {
      version: pieces.map(piece => this.pieces.versionOf(piece)).join(),
      lengths: [sizeOfPieces(pieces)],
    }
  }

  lengths(): number[] {
    return [this.size]
  }

  load(): Loaded {
    const { version } = this.glance()
    const bytes = this.raw()
    const raw = {
      parts: [bytes],
      time: null,
      compressed: false,
      limit: 0,
      ecc: null,
      cut: 0,
    } as const
    return { version, raw: bytes.length > 0 ? raw : null }
  }

  raw(): Buffer {
    return joinPieces(this.pieces)
  }

  erase(): void {
    erasePieces(this.pieces)
  }

  restart(): void {
    this.lock.exclusively(() => erasePieces(this.pieces))
  }

  append(bytes: Uint8Array): void {
    if (bytes.length > 0) this.lock.exclusively(() => appendPieces(this.pieces, this.#most, bytes))
  }
}
