/** What the prober reports: regions that it found, or that a file describes. */
import type { RamoopsParameters, SizeParameter } from '../layout.js'
import { parseZones } from '../zone-list.js'
import { usualPreset, writeOptions } from './options.js'
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
  /** The preset of the kernel or program that lays zones out so, where it is not today's Linux. */
  preset?: string
  /** Every zone as it lies, where no preset lays them out so. */
  zones?: string
  /** Rockchip's: of all boot log zones. */
  boot_log_size?: number
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
  /** What the likeliest layout leaves out, in a line: records are perhaps missing. */
  against?: string
}

/** What was found in a source. */
export interface Findings {
  regions: FoundRegion[]
  /** The parts of the source that were not searched, and why; of a description, what describes nothing. */
  notes: string[]
  /** What the source is, where it only describes regions: "a device tree". */
  describes?: string
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
  /** True where the preset is a kernel's whose version is known: its order of zones is no guess. */
  isOrderKnown?: boolean
}

/** A layout with every parameter that the prober reports. */
export type ReportedParameters = RamoopsParameters &
  Required<
    Omit<
      RamoopsParameters,
      'max_reason' | 'order' | 'zones' | 'boot_log_size' | 'boot_log_count' | 'layout' | 'base'
    >
  >

/**
 * Report a layout, with the findings that go with it.
 *
 * @param zones the list of its zones, where no preset has them
 */
export const reportRegion = (
  parameters: ReportedParameters,
  zones: string | null,
  findings: Pick<FoundRegion, 'order' | 'certain' | 'open' | 'evidence' | 'others' | 'against'>,
): FoundRegion => {
  const { mem_address, mem_size, ecc, cpus, flags, endian } = parameters
  const { record_size, console_size, ftrace_size, pmsg_size, tty_size } = parameters
  const { preset, boot_log_size } = parameters
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
    ...(preset === usualPreset ? {} : { preset }),
    ...(zones ? { zones } : {}),
    ...(boot_log_size === undefined ? {} : { boot_log_size }),
    options: writeOptions(parameters, zones),
    parameters: zones
      ? { mem_address, mem_size, zones: parseZones('zones', zones), ecc, flags, preset, endian }
      : parameters,
    ...findings,
  }
}
