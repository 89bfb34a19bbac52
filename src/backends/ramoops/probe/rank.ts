/** How well a shape explains the bytes: its parity, and what speaks against it. */
import { divideZone } from '../layout.js'
import { against, isUnusual, type ContentKind } from './classify.js'
import { shapesAt, zonesOf, type Shape } from './shapes.js'
import { isSound } from './signatures.js'
import { findEcc, fittingBlocks, type Fit, type TriedZone } from './parity.js'
import type { View } from './view.js'
import type { ZoneExtent, ZoneKind } from '../../../pstore/types.js'

export interface Judged {
  shape: Shape
  /** Null: no parity. */
  fit: Fit | null
  /** What speaks against it, by weight; 0: nothing. */
  faults: number
  /** How many of its dmesg zones hold a dump. */
  dumps: number
  /** How many hold what is no dump. */
  strangers: number
  /** Empty rings whose header's parity is that of what they held: who emptied them keeps none. */
  unkept: number
  /** Signatures that stand where it has no zone. */
  unexplained: number
  /** What its rings hold. */
  contents: Map<ZoneKind, ContentKind>
  /** What its empty rings once held. */
  residues: Map<ZoneKind, ContentKind>
  /** How many zones hold, or held, what is rather another kind's. */
  unusual: number
  /** Zones without a signature, or with numbers that no writer leaves. */
  damaged: number
  /** Zones whose headers are lost or wrong, and that parity tells of all the same. */
  mended: number
}

/** A zone that has no signature. */
const unsigned = 10
/** A signature right behind the last zone: more zones follow. */
const cutShort = 10
/** A signature a little behind that: those zones would be nobody's. */
const leftOver = 5
/** How far behind the end one is looked for, and how many count. */
const nearby = 2 ** 18
const mostLeftOver = 64
/** A signature within a zone, and how many count. */
const stray = 2
const mostStrays = 8
/** A header whose numbers no writer leaves in a zone of that size. */
const impossible = 3
/** A zone that the other zones' parity does not fit. */
const misfit = 4
/** Shapes whose contents are looked at. */
const mostJudged = 512
/** Zones of a shape on which parity is tried. */
const parityZones = 12

/** The zones that decide the parity: those that hold something first, of every kind some. */
export const tellingZones = (view: View, zones: readonly ZoneExtent[]): TriedZone[] => {
  const rings = zones.filter(({ kind }) => kind !== 'dmesg').slice(0, parityZones / 2)
  const dumps = zones.filter(({ kind }) => kind === 'dmesg').slice(0, parityZones / 2)
  return [...dumps, ...rings].map(({ offset, size }) => ({
    offset,
    size,
    header: view.header(offset),
  }))
}

/** @param furthest the end of what any shape explains */
const judgeOne = (view: View, shape: Shape, furthest: number): Judged => {
  const zones = zonesOf(shape)
  const fit = findEcc(view, tellingZones(view, zones))
  const ecc = fit?.ecc ?? 0
  const contents = new Map<ZoneKind, ContentKind>()
  const residues = new Map<ZoneKind, ContentKind>()
  let dumps = 0
  let strangers = 0
  let unkept = 0
  let unusual = 0
  const { end, base } = shape
  const reach = Math.max(nearby, end - base)
  const behind = view.marksIn(end, Math.min(furthest, end + reach), mostLeftOver)
  let faults = leftOver * behind
  if (view.isPlain(end)) faults += cutShort
  let damaged = 0
  let byParity = 0
  let signed = 0
  if (view.isFtrace(end)) faults += cutShort
  const weigh = ({ kind, offset, size }: ZoneExtent, content: ContentKind): void => {
    if (kind === 'ftrace') return
    const held = content === 'empty' ? view.residue(offset, size) : content
    if (isUnusual(kind, held)) unusual++
    if (kind !== 'dmesg') {
      contents.set(kind, content)
      residues.set(kind, held)
    } else if (content === 'dump') dumps++
    else if (content !== 'empty') strangers++
    faults += against[kind][content]
  }
  for (const zone of zones) {
    const { kind, offset, size } = zone
    const ftrace = kind === 'ftrace'
    const raw = view.header(offset)
    const mended = ecc ? view.mended(offset, size, ecc) : null
    const header = mended ?? raw
    const fits = ecc > 0 && fittingBlocks(view, { offset, size, header: raw }, ecc) > 0
    if (!header || ftrace !== header.code > 0) {
      if (fits) byParity++
      else faults += unsigned
      damaged++
      weigh(zone, 'empty')
      continue
    }
    if (mended) byParity++
    if (mended?.size && raw?.code === mended.code && raw.size === 0) unkept++
    if (!ftrace && raw?.code === 0) signed++
    const division = divideZone(size, ecc)
    if (!division) {
      faults += unsigned
      weigh(zone, 'empty')
      continue
    }
    const { data } = division
    // Numbers that are wrong in themselves say nothing of how long the zone is.
    const sound = isSound(header)
    const possible = sound && header.size <= data
    // A ring that has wrapped is full.
    const wrapped = header.start < header.size
    if (!possible || (wrapped && header.size !== data)) {
      if (sound) faults += impossible
      damaged++
    }
    if (ecc && !fits) faults += misfit
    weigh(zone, possible && !ftrace ? view.content(offset, size, ecc, header) : 'empty')
  }
  const strays = Math.min(mostStrays, view.plainIn(base, end, signed + mostStrays) - signed)
  faults += stray * strays
  return {
    shape,
    fit,
    faults,
    dumps,
    strangers,
    unkept,
    unexplained: behind + strays,
    contents,
    residues,
    unusual,
    damaged,
    mended: byParity,
  }
}

/**
 * Judge the shapes that zones from a place on can have, those against which least speaks first. Where any
 * parity fits one of them, those that it does not fit are no longer among them: that is no chance.
 */
export const judge = (view: View, base: number): Judged[] => {
  const judged = judgeAll(view, shapesAt(view, base, false))
  // Only where headers are missing is it worth while to look for some that parity mends.
  const [best] = judged
  if (best && best.damaged + best.mended === 0) return judged
  return judgeAll(view, shapesAt(view, base, true))
}

const judgeAll = (view: View, shapes: readonly Shape[]): Judged[] => {
  const furthest = Math.max(0, ...shapes.map(({ end }) => end))
  const all: Judged[] = []
  for (const shape of shapes.slice(0, mostJudged)) {
    if (!view.work.spend(shape.dmesg.count + shape.cpus + 1)) break
    all.push(judgeOne(view, shape, furthest))
  }
  const withParity = all.filter(({ fit }) => fit)
  return (withParity.length ? withParity : all).sort((a, b) => a.faults - b.faults)
}
