/** What the prober reports: regions that it found, or that a file describes. */
import type { RamoopsParameters, SizeParameter } from '../layout.js'
import { writeOptions } from './options.js'
import type { Endian, ZoneKind } from '../../../pstore/types.js'

/** A region that was found; sizes in bytes. */
export interface FoundRegion {
  /** Where it starts in the source. */
  mem_address: number
  mem_size: number
  record_size: number
  console_size: number
  ftrace_size: number
  pmsg_size: number
  tty_size: number
  /** Parity bytes a block; 0: none. */
  ecc: number
  /** CPUs with an ftrace zone each. */
  cpus: number
  /** 0: one ftrace zone that CPUs share. */
  flags: number
  /** The kinds of its zones, as they lie. */
  order: ZoneKind[]
  endian: Endian
  /** True where no other layout explains the bytes. */
  certain: boolean
  /** The parameters that the bytes do not decide. */
  open: string[]
  evidence: string[]
  /** The layout as options of the command line. */
  options: string
  /** The layout's parameters. */
  parameters: RamoopsParameters
  /** Other layouts that explain the bytes as well, as options, the likeliest first. */
  others: string[]
}

export interface Findings {
  regions: FoundRegion[]
  /** The parts of the source that were not searched, and why. */
  notes: string[]
}

/** Parameters that decide a region's zones but for its address, its length and the number of CPUs. */
export type DescribedParameters = RamoopsParameters &
  Required<Pick<RamoopsParameters, SizeParameter | 'ecc' | 'flags'>>

/** A region as a file describes it. */
export interface Description {
  parameters: DescribedParameters
  evidence: string[]
  /** The parameters that the file does not say. */
  open: string[]
}

/** A layout with every parameter that the prober reports. */
export type ReportedParameters = RamoopsParameters &
  Required<Omit<RamoopsParameters, 'max_reason' | 'order'>>

/** Report a layout, with the findings that go with it. */
export const reportRegion = (
  parameters: ReportedParameters,
  findings: Pick<FoundRegion, 'order' | 'certain' | 'open' | 'evidence' | 'others'>,
): FoundRegion => {
  const { mem_address, mem_size, ecc, cpus, flags, endian } = parameters
  const { record_size, console_size, ftrace_size, pmsg_size, tty_size } = parameters
  return {
    mem_address,
    mem_size,
    record_size,
    console_size,
    ftrace_size,
    pmsg_size,
    tty_size,
    ecc,
    cpus,
    flags,
    endian,
    options: writeOptions(parameters),
    parameters,
    ...findings,
  }
}
