/**
 * One backend that is looked after: attached whenever it can be, looked at from time to time, and archived when a
 * guest has crashed. Nothing that a source does ends this; what goes wrong is told, and tried again, more and more
 * seldom.
 */
import { attach, parseSource } from '../attach.js'
import { archiveBackend, recordsIn, refusal, type How, type Listener } from '../archive/run.js'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { allDoubtsOf } from '../service/doubts.js'
import type { SourceCandidate } from '../service/plan.js'
import { lookInterval, Place } from '../service/replaced.js'
import { dumpsIn, Pulse, Settling } from './pulse.js'
import type { ArchiveTurn } from './turn.js'

/** Who is told what comes of a backend. The same line may come again and again. */
export interface Reports extends Listener {
  /** What happened, and is nobody's fault. */
  note(line: string): void
  /** Folders were made or finished. */
  made(folders: readonly string[]): void
  /** How many records its store has; null: it is not attached. */
  state(records: number | null): void
  /** What was told before is not so any more. */
  calm(): void
}

/** How often a store is looked at, in ms. */
const interval = 500
/** Stores are looked at together, at multiples of so many ms: to wake up takes longer than a look. */
const together = 250
/** The same while a crash may not be whole yet, or another process has the archive. */
const shortInterval = 50
/** How long after a failure it is tried again, at first and at most, in ms. */
const [firstPause, longestPause] = [500, 30_000]
/** What fails, and takes long for it, takes not more than this share of the time. */
const share = 1 / 100
/** What is searched for a region that nobody described, in bytes. */
const probeLimit = 2 ** 30

/** A backend that is attached. */
interface Held {
  readonly backend: Backend
  readonly place: Place
  readonly pulse: Pulse
  /** The dumps that stay there, after all was archived that can be; null: not known yet. */
  done: string | null
  settling: Settling | null
  /** What the run before this turn found, whether it made anything, and when the next may be. */
  ran: { readonly dumps: string; readonly isFruitful: boolean; readonly next: number } | null
}

const messageOf = (error: unknown): string =>
  error instanceof StoreError
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error)

export class Keeper {
  /** When its next turn is, as performance.now() says. */
  due = 0
  #held: Held | null = null
  readonly #path: string
  #failures = 0
  /** Since the last failure: what was at the path then, and when it is tried again at the latest. */
  #failed: { readonly place: Place; readonly until: number } | null = null
  #placeDue = 0
  #isGone = false

  constructor(
    readonly candidate: SourceCandidate,
    readonly how: How,
    readonly archive: ArchiveTurn,
    readonly reports: Reports,
  ) {
    this.#path = parseSource(candidate.source).path
  }

  /** Look at it, and do what there is to do; never throws. */
  turn(): void {
    const begun = performance.now()
    let pause: number
    try {
      pause = this.#turn(begun)
    } catch (error) {
      pause = this.#fail(error, begun)
    }
    const due = performance.now() + pause
    this.due = pause < interval ? due : Math.ceil(due / together) * together
  }

  close(): void {
    this.#held?.backend.close()
    this.#held = null
  }

  /** @returns for how long there is nothing to do, in ms */
  #turn(now: number): number {
    const failed = this.#failed
    if (failed) {
      if (now < failed.until && failed.place.look() !== 'replaced')
        return Math.min(lookInterval, failed.until - now)
      this.#failed = null
    }
    const held = (this.#held ??= this.#attach())
    if (held.ran) return this.#lookAfter(held, held.ran)
    if (now >= this.#placeDue) {
      this.#placeDue = now + lookInterval
      if (this.#isReplaced(held)) return this.#leave(held)
    }
    if (!held.settling) {
      if (!held.pulse.beats()) return interval
      const dumps = dumpsIn(held.backend)
      if (dumps === held.done) return interval
      // Without any, it is what an earlier run left that may have to be finished.
      if (dumps !== '') {
        held.settling = new Settling(held.backend)
        return shortInterval
      }
    } else if (!held.settling.isOver()) return shortInterval
    return this.#archive(held)
  }

  #attach(): Held {
    const { name, source, options } = this.candidate
    const { keep } = this.how
    const place = new Place(this.#path)
    const report = (line: string): void => this.reports.tell(line)
    const backend = attach(source, { ...options, name, readOnly: keep, report, probeLimit })
    if (backend.readOnly && !keep) {
      backend.close()
      throw refusal(backend)
    }
    for (const line of allDoubtsOf(backend)) report(line)
    this.#isGone = false
    this.reports.state(recordsIn(backend))
    return { backend, place, pulse: new Pulse(backend), done: null, settling: null, ran: null }
  }

  #isReplaced({ place }: Held): boolean {
    const fate = place.look()
    if (fate === 'gone' && !this.#isGone) {
      this.#isGone = true
      this.reports.tell(`${this.#path}: is gone: what was there is watched until a new one comes`)
    }
    if (fate === 'same') this.#isGone = false
    return fate === 'replaced'
  }

  /** Take what is left in a file in whose place another one is. */
  #leave(held: Held): number {
    if (dumpsIn(held.backend) !== held.done && this.#archive(held) === shortInterval) {
      this.#placeDue = 0
      return shortInterval
    }
    this.close()
    this.reports.note(`${this.#path}: was replaced: the new one is watched from now on`)
    return 0
  }

  /** @returns for how long there is nothing to do, in ms; {@link shortInterval} where it could not be done yet */
  #archive(held: Held): number {
    const { backend } = held
    const { reports } = this
    const dumps = dumpsIn(backend)
    // A medium that is slow is so now, and not while the archive is locked.
    for (const record of backend.records(() => {})) if (record.type === 'dmesg') touch(record)
    const archive = this.archive.open()
    if (!archive) return shortInterval
    const begun = performance.now()
    const { folders: made } = archiveBackend(backend, archive, this.how, reports)
    if (made.length > 0) reports.made(made)
    if (this.#failures > 0) {
      this.#failures = 0
      reports.calm()
      reports.note(`backend ${backend.name}: attached`)
    }
    const next = begun + Math.max(interval, 5 * (performance.now() - begun))
    held.settling = null
    held.ran = { dumps, isFruitful: made.length > 0, next }
    return 0
  }

  /** What a run left, looked at once others may have the archive: a medium that is slow now holds up nobody else. */
  #lookAfter(held: Held, { dumps, isFruitful, next }: NonNullable<Held['ran']>): number {
    const { backend } = held
    this.reports.state(recordsIn(backend))
    // What came while it was archived may be one crash more; where nothing is erased, it would be seen.
    const left = dumpsIn(backend)
    if (left === '' || !isFruitful || (this.how.keep && left === dumps))
      held.done = left === '' ? '' : dumps
    else held.settling = new Settling(backend)
    held.ran = null
    return Math.max(0, next - performance.now())
  }

  #fail(error: unknown, begun: number): number {
    const held = this.#held
    const undone = held === null ? 'attached' : held.ran ? 'looked at' : 'archived'
    this.close()
    this.reports.tell(`backend ${this.candidate.name}: not ${undone}: ${messageOf(error)}`)
    this.reports.state(null)
    const now = performance.now()
    const grown = Math.min(longestPause, firstPause * 2 ** this.#failures++)
    this.#failed = {
      place: new Place(this.#path),
      until: now + Math.max(grown, (now - begun) / share),
    }
    return firstPause
  }
}

/** Have a record's bytes read, and forget them. */
const touch = (record: { open(): unknown }): void => {
  try {
    record.open()
  } catch (error) {
    // It is told when it is archived.
    if (!(error instanceof StoreError)) throw error
  }
}
