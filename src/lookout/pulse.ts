/**
 * Whether a dump has come into a store, by looks that cost some microseconds each, so that a hundred guests can be
 * looked at twice a second for less than 1 % of a processor.
 */
import crypto from 'node:crypto'
import type { Backend } from '../pstore/backend.js'
import { frontLength, type Fronts } from '../pstore/fronts.js'

/** Which dumps a store has, each in its version; empty where there is none. */
export const dumpsIn = (backend: Backend): string => {
  const hash = crypto.createHash('sha256')
  let isEmpty = true
  const add = (line: string): void => {
    isEmpty = false
    hash.update(`${line}\n`)
  }
  for (const { type, name, version } of backend.records(({ name }) => add(name)))
    if (type === 'dmesg') add(`${name} ${version}`)
  return isEmpty ? '' : hash.digest('hex')
}

/** How many places are looked at each time: those where a life's first dumps come, ... */
const first = 4
/** ... those behind the one where the last dump came, ... */
const behind = 2
/** ... and some of all, in turn: this many at least, and in so many looks all of them. */
const inTurn = 6
const mostTurns = 40
/** Of so many places the fronts are remembered: 4 MiB. */
const mostFronts = 2 ** 16
/** Where there are no fronts, all dumps are looked at: then not more often than so many ms, ... */
const shortestPause = 500
/** ... and for not more than this share of the time. */
const share = 1 / 200

export class Pulse {
  readonly #fronts: Fronts | null
  readonly #seen: Buffer
  readonly #front = Buffer.alloc(frontLength)
  #isFirst = true
  /** The place that changed last. */
  #last = 0
  #next = 0
  /** Without fronts: what was there, and when the next look is due. */
  #dumps = ''
  #due = 0

  constructor(readonly backend: Backend) {
    const fronts = backend.fronts?.()
    this.#fronts = fronts && fronts.count <= mostFronts ? fronts : null
    this.#seen = Buffer.alloc((this.#fronts?.count ?? 0) * frontLength)
  }

  /**
   * Has any dump come or gone, as far as this look tells? The first says so in any case.
   *
   * @throws StoreError where the source cannot be read
   */
  beats(): boolean {
    const beats = this.#fronts ? this.#glance(this.#fronts) : this.#look()
    const isFirst = this.#isFirst
    this.#isFirst = false
    return beats || isFirst
  }

  #glance(fronts: Fronts): boolean {
    const { count } = fronts
    let beats = false
    const look = (place: number): void => {
      fronts.load(place, this.#front)
      const at = place * frontLength
      if (this.#seen.compare(this.#front, 0, frontLength, at, at + frontLength) === 0) return
      this.#front.copy(this.#seen, at)
      this.#last = place
      beats = true
    }
    const some = Math.max(inTurn, Math.ceil(count / mostTurns))
    if (this.#isFirst || count <= first + behind + some) {
      for (let place = 0; place < count; place++) look(place)
      return beats
    }
    const last = this.#last
    for (let place = 0; place < first; place++) look(place)
    for (let n = 1; n <= behind; n++) look((last + n) % count)
    for (let n = 0; n < some; n++) look((this.#next + n) % count)
    this.#next = (this.#next + some) % count
    return beats
  }

  #look(): boolean {
    const begun = performance.now()
    if (begun < this.#due) return false
    const dumps = dumpsIn(this.backend)
    const end = performance.now()
    this.#due = end + Math.max(shortestPause, (end - begun) / share)
    const beats = dumps !== this.#dumps
    this.#dumps = dumps
    return beats
  }
}

/** For so long nothing changes in a store once a crash is whole, in ms: a dump has parts, and a console goes on. */
const quiet = 250
/** A guest that goes on is not waited for any longer, in ms. */
const mostQuiet = 1000

/** Waits until a crash is whole. */
export class Settling {
  readonly #begun = performance.now()
  #since = this.#begun
  #state: string

  constructor(readonly backend: Backend) {
    this.#state = this.#look()
  }

  #look(): string {
    const at = this.backend.rings().map(ring => {
      const { start, size } = ring.position()
      return `${start} ${size}`
    })
    return `${dumpsIn(this.backend)} ${at.join()}`
  }

  /** @throws StoreError where the source cannot be read */
  isOver(): boolean {
    const state = this.#look()
    const now = performance.now()
    if (state !== this.#state) {
      this.#state = state
      this.#since = now
    }
    return now - this.#since >= quiet || now - this.#begun >= mostQuiet
  }
}
