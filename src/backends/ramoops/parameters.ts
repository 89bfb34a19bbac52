/** What a user can say of a region's layout, under the kernel's own names where it has them. */
import type { Endian, ZoneKind } from '../../pstore/types.js'
import type { ZoneRun } from './zone-list.js'

/** A layout's parameters; sizes in bytes. */
export interface RamoopsParameters {
  mem_address?: number
  mem_size?: number
  record_size?: number
  console_size?: number
  ftrace_size?: number
  pmsg_size?: number
  tty_size?: number
  /** Rockchip's: of all boot log zones, and how many there are. */
  boot_log_size?: number
  boot_log_count?: number
  /** Parity bytes a block; 1 means 16, 0 none. */
  ecc?: number
  max_reason?: number
  /** 1: an ftrace zone for each CPU; 0: one for all. */
  flags?: number
  cpus?: number
  /** The kernel or program that wrote the region: `linux-6.2`, …. */
  preset?: string
  /** The kinds of zones, as they lie. */
  order?: ZoneKind[]
  /** Every zone as it lies there: instead of sizes, counts and an order. */
  zones?: ZoneRun[]
  endian?: Endian
  /** A file that says the others; what else is given wins over it. */
  layout?: string
  /** The address of the source's first byte, where that is a dump of RAM: mem_address counts from 0. */
  base?: number
}

/** The parameters that size the kinds of zones, in the order of Linux's module parameters. */
export const sizeParameters = [
  'record_size',
  'console_size',
  'ftrace_size',
  'pmsg_size',
  'tty_size',
] as const satisfies (keyof RamoopsParameters)[]
export type SizeParameter = (typeof sizeParameters)[number]

/** What a list of zones says by itself, so that nothing else may say it. */
export const saidByZones = [
  ...sizeParameters,
  'boot_log_size',
  'boot_log_count',
  'order',
  'cpus',
] as const satisfies (keyof RamoopsParameters)[]

/** The parameters that say how zones lie: where a user gives none of them, the layout is probed. */
export const layoutParameters = [
  ...sizeParameters,
  'ecc',
  'flags',
  'cpus',
  'preset',
  'order',
  'zones',
  'boot_log_size',
  'boot_log_count',
] as const satisfies (keyof RamoopsParameters)[]
