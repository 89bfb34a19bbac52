/** A store as a whole: the condition of each extent, and the bytes behind a name. */
import type { StoredRecord, Survey } from './backend.js'
import { salvage } from './codecs/index.js'
import {
  conditionAt,
  describeBroken,
  isThere,
  lookIntoStream,
  type Condition,
  type ConditionState,
  type Dump,
  type Site,
} from './condition.js'
import { contentOf, type SizedContent } from './content.js'
import type { Driver, DumpBody, Extent, Inspection, Slot } from './driver.js'
import { fileName, type ZoneState } from './types.js'

/** What an extent is called where nothing that it held is lost. */
const states: { readonly [state in ZoneState]: ConditionState } = {
  valid: 'sound',
  empty: 'empty',
  unsigned: 'unsigned',
  invalid: 'damaged',
}

/** How the store finds what a name or a slot shows. */
interface Finder {
  slot(name: string): Slot | null
  look(slot: Slot): StoredRecord | null
}

export class StoreSurvey implements Survey {
  constructor(
    /** The backend in files' names; null where labels have it. */
    readonly inNames: string | null,
    readonly driver: Driver,
    readonly store: Finder,
  ) {}

  get facts(): Survey['facts'] {
    return this.driver.facts
  }

  get whyReadOnly(): string | undefined {
    return this.driver.whyReadOnly
  }

  *conditions(shown = true): Generator<Condition, void, void> {
    // All CPUs have one file, and to find it takes a look at each of their rings.
    let ftrace: string | null | undefined
    const ftraceName = (extent: Extent): string | null => {
      if (ftrace === undefined) ftrace = this.#look(extent)?.name ?? null
      return ftrace
    }
    for (const extent of this.driver.extents()) {
      const { type, label, id, copy, index, offset, length, room } = extent
      if (!shown && extent.whole && isThere(() => this.#look(extent))) continue
      const name = extent.name ?? fileName(label, this.inNames, id, false, copy)
      const site: Site = { type, name, index, offset, length, room }
      const condition = conditionAt(site, () => {
        const found = extent.inspect()
        if (!found) return null
        const condition = this.#judge(extent, found)
        return extent.shared && found.shown && found.used > 0
          ? Object.assign(condition, { record: ftraceName(extent) })
          : condition
      })
      if (condition) yield condition
    }
  }

  #look({ label, id, copy }: Extent): StoredRecord | null {
    const slot = this.driver.slot(label, id, copy)
    return slot && this.store.look(slot)
  }

  #judge({ label, id, copy }: Extent, found: Inspection): Omit<Condition, keyof Site> {
    const { state, used, start, findings, shown, parity, remains = null } = found
    const dump = found.dump && lookIntoDump(found.dump, findings)
    const isBroken = dump !== null && dump.text === null
    const isLost = found.lost || (isBroken && remains === null)
    return {
      used,
      start,
      state: isLost ? 'damaged' : remains ? 'erased' : states[state],
      findings,
      record: shown && used > 0 ? fileName(label, this.inNames, id, isBroken, copy) : null,
      parity,
      dump,
      remains,
    }
  }

  raw(name: string, told?: (cut: number) => void): Buffer | null {
    return this.#alone(name, (slot, alone) => slot.raw(told, alone))
  }

  salvage(name: string): SizedContent | null {
    return this.#alone(name, (slot, alone) => {
      const { raw } = slot.load(alone)
      if (raw) return raw.compressed ? salvage(raw.parts[0], raw.limit).text : null
      const lost = slot.lost?.()
      if (!lost) return null
      return lost.compressed ? salvage(lost.body, lost.limit).text : contentOf(lost.body)
    })
  }

  /** Look at the slot of a name while no writer of this program is at work; null where there is none. */
  #alone<T>(name: string, look: (slot: Slot, alone: boolean) => T | null): T | null {
    const slot = this.store.slot(name)
    return slot && this.driver.lock.shared(alone => look(slot, alone))
  }
}

/** What is in a dump. Adds to what was found. */
const lookIntoDump = (body: DumpBody, findings: string[]): Dump => {
  const { time, compressed, length, stream, limit } = body
  if (!compressed || !stream)
    return { time, compressed, codec: null, text: compressed ? null : length, broken: null }
  const found = lookIntoStream(stream, limit)
  if (found.broken) findings.push(describeBroken(found.codec, found.broken))
  return { time, compressed, ...found }
}
