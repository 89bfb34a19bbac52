/**
 * The prober's door: the layout of a source that no option describes.
 *
 * A source is probed in two steps. A file that only describes regions (described.ts) says what it knows;
 * anything else is taken for memory and searched for regions (regions.ts).
 */
import { count } from '../../../pstore/condition.js'
import { StoreError, UncertainLayout } from '../../../pstore/errors.js'
import type { Region } from '../../../region/region.js'
import { layoutParameters, type RamoopsParameters } from '../layout.js'
import { describedWithin, readDescription, type DescribedRegions } from './described.js'
import { elfSegments } from './elf.js'
import type { Findings, FoundRegion } from './found.js'
import { findRegions } from './regions.js'

/** The part of a source, in bytes; by default all of it. */
interface Extent {
  mem_address?: number
  mem_size?: number
}

/** Open a part of a source to read it. */
export type OpenRegion = (
  path: string,
  part: Extent & { readOnly: true; map: false; report: () => void },
) => Region

/** The region that is known to have been made in a source; null where none is. */
export type Recall = (region: Region) => FoundRegion | null

export interface ProbeOptions extends Extent {
  /** Called with the bytes that have been searched, of how many. */
  progress?: (done: number, total: number) => void
  /** The most bytes that are searched; where there are more, that is an error. Default: all. */
  probeLimit?: number
}

export interface LayoutOptions extends ProbeOptions {
  /** False where the caller is to write, for which a guessed layout is not enough. */
  readOnly?: boolean
  /** Called with a line that says a guess. */
  report?: (line: string) => void
}

/** A layout that the bytes have. */
interface GuessedParameters extends RamoopsParameters {
  /** True where it is a guess. */
  readOnly?: true
  /** As of {@link FoundRegion.against}. */
  against?: string
}

/**
 * Find the regions in a source, and their layouts.
 *
 * @param options say which part of the source is searched
 * @throws StoreError where the source cannot be read, has more bytes than the limit, or is of a form that
 *   has to be converted
 */
export const probeRegion = (
  path: string,
  options: ProbeOptions,
  open: OpenRegion,
  recall: Recall = () => null,
): Findings => {
  const described = readDescription(path, options.progress)
  if (described) return findingsOf(described)
  const { mem_address: from = 0, progress, probeLimit } = options
  // Its notes are among the findings.
  const region = open(path, { ...options, readOnly: true, map: false, report: () => {} })
  try {
    const segments = (from === 0 && elfSegments(region)) || undefined
    const findings = findRegions(
      region,
      segments,
      done => progress?.(done, region.length),
      probeLimit,
    )
    findings.regions = withKnown(findings.regions, recall(region))
    const within = findings.regions.length === 0 && from === 0 ? describedWithin(region) : null
    if (within) return findingsOf(within)
    for (const found of findings.regions) found.mem_address += from
    const unpacked = region.kind === null ? [] : [unpackedNote(region)]
    return {
      ...findings,
      notes: [...unpacked, ...region.notes, ...region.doubts, ...findings.notes],
    }
  } finally {
    region.close()
  }
}

/** The regions of the bytes, of which the one that is known settles what they leave open. */
const withKnown = (regions: FoundRegion[], known: FoundRegion | null): FoundRegion[] => {
  if (!known) return regions
  const isApart = ({ mem_address, mem_size }: FoundRegion): boolean =>
    mem_address >= known.mem_address + known.mem_size || known.mem_address >= mem_address + mem_size
  const others = regions.filter(isApart)
  // What is certain by the bytes alone needs no memory.
  if (regions.some(region => region.certain && !isApart(region))) return regions
  return [...others, known].sort((a, b) => a.mem_address - b.mem_address)
}

/** What a description says, as findings. */
const findingsOf = ({ kind, regions, notes }: DescribedRegions): Findings => ({
  regions,
  notes: regions.length
    ? [...notes, "this file only describes the region; its contents are in the machine's memory"]
    : notes,
  describes: kind,
})

const unpackedNote = ({ kind, length }: Region): string =>
  `is a ${kind} file: addresses and sizes are those of the ${length} bytes in it`

/**
 * The layout of the only region in a source, or of the one that starts at `mem_address`.
 *
 * @throws UncertainLayout where it is a guess and the caller is to write
 * @throws StoreError where no region is found, or more than one, or the source only describes regions
 */
export const probeLayout = (
  path: string,
  options: LayoutOptions,
  open: OpenRegion,
  recall: Recall = () => null,
): GuessedParameters => {
  const findings = probeRegion(path, options, open, recall)
  if (findings.describes) throw onlyDescribes(path, findings.describes, findings)
  const found = onlyRegion(path, findings.regions, options.mem_address)
  if (!found.certain) {
    if (options.readOnly === false)
      throw new UncertainLayout(
        `${path}: ${undecided(found)}: refusing to write with a guessed layout; ` +
          `pass it explicitly: ${found.options}`,
      )
    options.report?.(`${path}: layout guessed (${undecided(found)}); using: ${found.options}`)
  }
  const parameters = { ...found.parameters, mem_address: found.mem_address }
  if (found.certain) return parameters
  const { against } = found
  return { ...parameters, readOnly: true, ...(against !== undefined && { against }) }
}

/** The region that is meant: of several, the one that starts at the address. */
const onlyRegion = (
  path: string,
  regions: readonly FoundRegion[],
  address: number | undefined,
): FoundRegion => {
  const meant = regions.filter(
    ({ mem_address }) => address === undefined || mem_address === address,
  )
  const [found] = meant
  if (!found)
    throw new StoreError(
      `no pstore region found in ${path}. If you know the layout, give it: ` +
        layoutParameters.map(name => `--${name.replaceAll('_', '-')}`).join(', '),
    )
  if (meant.length > 1)
    throw new StoreError(
      `${path}: has ${meant.length} regions: say which: ` +
        meant
          .slice(0, 8)
          .map(({ mem_address }) => `--mem-address 0x${mem_address.toString(16)}`)
          .join(', '),
    )
  return found
}

/** Why a file that describes regions is none: it has no bytes of theirs. */
const onlyDescribes = (path: string, kind: string, { regions, notes }: Findings): StoreError => {
  const [first] = regions
  if (!first)
    return new StoreError(
      `${path}: is ${kind}: it describes no ramoops region${notes[0] ? `: ${notes[0]}` : ''}`,
    )
  const [what, them] =
    regions.length === 1 ? ['a region', 'it'] : [count(regions.length, 'region'), 'them']
  return new StoreError(
    `${path}: is ${kind}: it describes ${what} but does not contain ${them}. ` +
      `Run the command on the memory dump with: ${first.options}`,
  )
}

const undecided = ({ open }: FoundRegion): string =>
  open.length
    ? `${new Intl.ListFormat('en-GB').format(open)} cannot be told from the bytes`
    : 'headers of zones are damaged'
