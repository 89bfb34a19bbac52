/** A source whose rings are followed, in whatever file is at its path. */
import { parseSource } from '../../attach.js'
import type { Backend } from '../../pstore/backend.js'
import { assertStoreError } from '../../pstore/errors.js'
import { Follower } from '../../pstore/follower.js'
import { allDoubtsOf } from '../../service/doubts.js'
import { tell } from '../../service/log.js'
import { lookInterval, Place as FilePlace, type Fate } from '../../service/replaced.js'
import { requirePmsg, ringsNamed } from '../options/named-records.js'
import type { Place } from '../options/several.js'
import { attachCandidate } from '../options/source.js'
import { Printer, type Output, type Wanted } from './printer.js'

interface FollowedRing {
  follower: Follower
  readonly printer: Printer
}

export interface HowFollowed extends Wanted {
  readonly names: string[]
  readonly history: boolean
  readonly android: boolean
  readonly output: Output
  /** Whether headers name the source. */
  readonly isOneOfSeveral: boolean
}

export class FollowedSource {
  readonly rings: readonly FollowedRing[]
  #backend: Backend
  #file: FilePlace
  #fate: Fate = 'same'
  #looked = performance.now()
  /** What was said of a file that cannot be followed. */
  #said = ''

  /** @throws StoreError where the source cannot be attached, or has no such ring */
  constructor(
    readonly place: Place,
    readonly how: HowFollowed,
  ) {
    const { android, history, output, isOneOfSeveral } = how
    const { file, backend } = this.#attach()
    this.#file = file
    this.#backend = backend
    try {
      const rings = this.#ringsOf(backend)
      if (android && !rings.some(({ type }) => type === 'pmsg')) requirePmsg(rings)
      this.rings = rings.map(ring => {
        const title = isOneOfSeveral ? `${place.shown}: ${ring.name}` : ring.name
        const isAndroid = android && ring.type === 'pmsg'
        return {
          follower: new Follower(ring, history),
          printer: new Printer(ring.name, title, isAndroid, output, how),
        }
      })
    } catch (error) {
      backend.close()
      throw error
    }
  }

  #attach(): { file: FilePlace; backend: Backend } {
    const candidate = this.place.find()
    const file = new FilePlace(parseSource(candidate.source).path)
    const backend = attachCandidate(candidate, { readOnly: true })
    for (const line of allDoubtsOf(backend)) tell(line)
    return { file, backend }
  }

  #ringsOf(backend: Backend) {
    return ringsNamed(backend, { source: this.place.shown, names: this.how.names })
  }

  /** Go on with another file where one has taken the place of this one, as `tail -F` does. */
  renew(): void {
    if (performance.now() - this.#looked < lookInterval) return
    this.#looked = performance.now()
    const { path } = this.#file
    const before = this.#fate
    this.#fate = this.#file.look()
    if (this.#fate === 'gone' && before !== 'gone') tell(`${path}: is gone: waiting for a new one`)
    if (this.#fate !== 'replaced') return
    try {
      this.#turnTo(this.#attach())
      tell(`${path}: was replaced: following the new one`)
      this.#said = ''
    } catch (error) {
      assertStoreError(error)
      if (error.message !== this.#said)
        tell(`${path}: was replaced, and the new one cannot be followed yet: ${error.message}`)
      this.#said = error.message
    }
  }

  #turnTo({ file, backend }: { file: FilePlace; backend: Backend }): void {
    try {
      // By the names of the first: a pattern could mean others by now.
      const names = this.rings.map(({ printer }) => printer.name)
      const followers = ringsNamed(backend, { source: this.place.shown, names }).map(
        ring => new Follower(ring, true),
      )
      for (const [i, ring] of this.rings.entries()) {
        ring.follower = followers[i]!
        ring.printer.interrupt()
      }
    } catch (error) {
      backend.close()
      throw error
    }
    this.#backend.close()
    this.#backend = backend
    this.#file = file
  }

  close(): void {
    this.#backend.close()
  }
}
