/**
 * Following a ring while others write to it: what is new since the last look, whole.
 *
 * Writers differ. This program's store bytes before the header that announces them, under a lock. Linux
 * moves the header first, takes no lock that is seen from outside, and may be a guest that its host
 * stops in between. So bytes are believed to be there
 * - where the header has parity, which is stored last;
 * - where the header has gone on since: one writer at a time is at work in a ring;
 * - where the last of them differs from what lay there before;
 * - where the ring is looked at for the first time, or was written all round, so that nobody knows what lay
 *   there: once the ring has stayed the same for a while.
 * A header that goes back is believed when it stays: pstore_blk's does for a moment when its ring wraps.
 * What remains doubtful is believed in the end: the same bytes may have been written once more.
 */
import { evidence, moveBetween, type Move, type Ring, type RingPosition } from './ring.js'

/** For how long a look is doubted, in ms. */
const patience = 500
/** For how long a ring must stay the same where nothing else tells that its bytes are there, in ms. */
const calm = 50

/** Milliseconds between two looks: after news, and at most. */
export const shortestPause = 10
const longestPause = 100

/**
 * How long to wait before the next look, in ms: ever longer while nothing comes.
 *
 * @param before the pause before the last look
 * @param spent what that look took, in ms: a guest that changes large zones all the time must not keep its host busy
 *   verifying them
 */
export const pauseAfter = (before: number, hasNews: boolean, spent: number): number =>
  Math.max(hasNews ? shortestPause : Math.min(2 * before, longestPause), 3 * spent)

/** Where a ring's next bytes do not follow those that came before. */
export interface Gap {
  /** The ring was emptied before these bytes. */
  readonly erased: boolean
  /** How many bytes before these are gone, at least (0: perhaps none); null where none are. */
  readonly lost: number | null
}

/** What is new in a ring. */
export interface News extends Gap {
  /** The bytes, in up to two pieces, until the next poll. */
  readonly pieces: readonly Buffer[]
}

const same = (a: RingPosition, b: RingPosition): boolean => a.start === b.start && a.size === b.size

export class Follower {
  /** The ring's bytes as they were when last looked at, valid or not. */
  readonly #seen: Buffer
  #at: RingPosition
  /** Nobody knows what lay in the ring before that look: what it found is news once it is confirmed. */
  #fresh = true
  /** All that the ring holds is news, not only what was appended. */
  #all: boolean
  /** A look was confirmed: what was lost before that is nobody's loss. */
  #begun = false
  /** It was seen emptied, but that may pass. */
  #erasing = false
  /** What is to be told with the next news: {@link News.erased} and {@link News.lost}. */
  #erased = false
  #lost: number | null = null
  /** When all was looked at, and when doubts began. */
  #freshSince: number | null = null
  #doubtedSince: number | null = null

  /**
   * @param history what is in the ring already counts as new
   * @throws StoreError (EIO) where the source cannot be read
   */
  constructor(
    readonly ring: Ring,
    history: boolean,
  ) {
    this.#all = history
    this.#seen = Buffer.alloc(ring.length)
    this.#at = ring.quietly(() => this.#loadAll())
  }

  /**
   * What is new since the last poll, at most as many bytes as the ring holds; null where nothing is, or
   * nothing certain yet.
   *
   * @param now the time in ms, by any clock that does not go back
   * @throws StoreError (EIO) where the source cannot be read
   */
  poll(now: number): News | null {
    const at = this.ring.position()
    if (!this.#fresh && at.settled && this.#moveTo(at).kind === 'still') {
      // What was there for a moment was not looked at, and may lie there still.
      if (this.#doubtedSince !== null) this.#loadAll()
      this.#doubtedSince = null
      this.#erasing = false
      return null
    }
    return this.ring.quietly(() => this.#look(now))
  }

  /** Look at a ring that is not as it was: decide whether to believe it. */
  #look(now: number): News | null {
    const { ring } = this
    const at = ring.position()
    const move = this.#moveTo(at)
    const tipLength = Math.min(evidence, at.size)
    const tip = this.#read(at.start - tipLength, tipLength)
    /** What happened since that position was read. */
    const later = (): Move =>
      moveBetween(at, ring.position(), ring.length, n =>
        this.#read(at.start - n, n).equals(tip.subarray(-n)),
      )
    const steady = at.settled && at.whole && same(at, ring.position())
    this.#doubtedSince ??= now
    this.#freshSince ??= now
    let patient = now - this.#doubtedSince < patience
    const anew = move.kind === 'erased' || move.kind === 'lapped'
    this.#erasing ||= move.kind === 'erased'
    // Full for the first time: of size and start Linux may have moved one only.
    const filled = move.kind === 'lapped' && this.#at.size < ring.length
    const filling = filled && now - this.#doubtedSince < calm
    if (patient && !this.#fresh && (this.#erasing || filling || !steady)) return null
    let isWritten: boolean
    if (anew) {
      if (!this.#fresh) {
        patient = true
        this.#doubtedSince = now
      }
      this.#startAnew(move, now)
      isWritten = ring.parity
    } else
      isWritten =
        ring.parity ||
        at.size === 0 ||
        (move.kind === 'still' ? now - this.#freshSince >= calm : this.#isWritten(at, tip))
    if (patient && !(steady && (isWritten || later().kind === 'appended'))) return null
    return this.#take(at, this.#all ? at.size : move.count, tip, later)
  }

  /** Nothing is known of the ring any more: look at all of it. */
  #startAnew({ kind, lost }: Move, now: number): void {
    if (kind === 'erased') this.#erased = true
    // Of a ring that was erased, and written all round since, nobody knows.
    else if (this.#erasing) this.#lost ??= 0
    else this.#lost = (this.#lost ?? 0) + lost
    this.#fresh = true
    this.#all ||= this.#begun
    this.#at = this.#loadAll()
    this.#freshSince = now
  }

  /** Take `count` bytes that end at a position. */
  #take(at: RingPosition, count: number, tip: Buffer, later: () => Move): News | null {
    const { ring } = this
    if (this.#fresh) this.#loadAll()
    else this.#load(at.start - count, count)
    this.#keep(at.start - tip.length, tip)
    // Linux may have gone on meanwhile, over the oldest of these, or all round.
    const { kind, count: gone } = later()
    const known = kind === 'still' || kind === 'appended'
    const intact = known ? Math.min(count, ring.length - gone) : 0
    const lost = intact < count ? (this.#lost ?? 0) + count - intact : this.#lost
    const news = {
      erased: this.#erased && this.#begun,
      lost: this.#begun ? lost : null,
      pieces: this.#runs(at.start - intact, intact).map(run => this.#piece(run)),
    }
    this.#at = at
    this.#fresh = this.#all = this.#erasing = this.#erased = false
    this.#begun = true
    this.#lost = this.#doubtedSince = null
    return news.erased || news.lost !== null || intact ? news : null
  }

  /** What led from the last look to a position. */
  #moveTo(at: RingPosition): Move {
    const { length } = this.ring
    const kept = (n: number): boolean => this.#isKept(this.#at.start - n, n)
    // What was all found at once has to stay as it was, all of it.
    return moveBetween(this.#at, at, length, kept, this.#fresh ? length : evidence)
  }

  /** Is the last byte before a position another than lay there? */
  #isWritten({ start }: RingPosition, tip: Buffer): boolean {
    return tip.at(-1) !== this.#seen.at(start - 1)
  }

  /** Are bytes of the ring what they were? */
  #isKept(from: number, length: number): boolean {
    return this.#read(from, length).equals(this.#recall(from, length))
  }

  #read(from: number, length: number): Buffer {
    return Buffer.concat(this.#runs(from, length).map(run => this.ring.slice(run.from, run.length)))
  }

  #recall(from: number, length: number): Buffer {
    return Buffer.concat(this.#runs(from, length).map(run => this.#piece(run)))
  }

  #load(from: number, length: number): void {
    for (const run of this.#runs(from, length))
      this.ring.slice(run.from, run.length).copy(this.#seen, run.from)
  }

  /** Load the ring as it is now; what lies beyond its valid bytes only where no parity tells that it is new. */
  #loadAll(): RingPosition {
    const at = this.ring.position()
    this.#load(0, this.ring.parity ? at.size : this.ring.length)
    return at
  }

  /** Remember bytes as they were read before. */
  #keep(from: number, bytes: Buffer): void {
    let done = 0
    for (const run of this.#runs(from, bytes.length))
      done += bytes.copy(this.#seen, run.from, done, done + run.length)
  }

  #piece({ from, length }: Run): Buffer {
    return this.#seen.subarray(from, from + length)
  }

  /** The bytes from an offset on; before the ring's front is its end. */
  #runs(from: number, length: number): Run[] {
    const start = from < 0 ? from + this.ring.length : from
    const first = Math.min(length, this.ring.length - start)
    return [
      { from: start, length: first },
      { from: 0, length: length - first },
    ].filter(run => run.length > 0)
  }
}

/** Neighbouring bytes of a ring. */
interface Run {
  from: number
  length: number
}
