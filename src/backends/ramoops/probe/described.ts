/** Regions that a device tree, a command line or module parameters describe; their bytes are elsewhere. */
import fs from 'node:fs'
import { openNow, readToEnd, type Opened } from '../../../native/open.js'
import { assertStoreError, StoreError } from '../../../pstore/errors.js'
import { makeLayout, presets } from '../layout.js'
import { describeCommandLine, describeParameters } from './boot-parameters.js'
import { describeBlob, describeTreeFolder, isBlob } from './device-tree.js'
import { reportRegion, type Description, type FoundRegion } from './found.js'

/** Zones that a region is believed to have. */
const mostZones = 2 ** 16
/** The largest files that are read: blobs have some hundred KiB, command lines a few. */
const largestBlob = 2 ** 24
const largestText = 2 ** 16

/** Report a description as a region. Its mem_address is an address in the machine's memory. */
const toRegion = ({ parameters: given, evidence, open }: Description): FoundRegion => {
  const all = { cpus: 1, ...given }
  const { mem_address = 0, mem_size = 0, record_size, ftrace_size, pmsg_size, tty_size } = all
  // Where the size is not described, the zones are those of a region with a single dump.
  const room = all.mem_size ?? record_size + all.console_size + ftrace_size + pmsg_size + tty_size
  // Linux 6.2 changed the order, and the number of CPUs is the machine's.
  const undescribed = [
    ...open,
    ...(ftrace_size && all.flags & 1 ? ['cpus'] : []),
    ...(ftrace_size && (pmsg_size || tty_size) ? ['order'] : []),
    'endian',
  ]
  const sizes = { dmesg: 0, console: 0, ftrace: 0, pmsg: 0, tty: 0 }
  const lines = [...evidence]
  let { ecc } = all
  try {
    if (record_size > 0 && room > mostZones * record_size)
      throw new StoreError('more zones than any region has')
    const layout = makeLayout(all, room)
    ecc = layout.ecc
    for (const { kind, size } of layout.zones) if (kind !== 'dmesg') sizes[kind] += size
    const dumps = layout.zones.filter(({ kind }) => kind === 'dmesg').length
    if (dumps) sizes.dmesg = 2 ** Math.floor(Math.log2(record_size))
    if (mem_size) lines.push(`${dumps} dmesg zones`)
  } catch (error) {
    assertStoreError(error)
    lines.push(`no such region can be: ${error.message}`)
  }
  const parameters = {
    ...all,
    mem_address,
    mem_size,
    record_size: sizes.dmesg,
    console_size: sizes.console,
    ftrace_size: sizes.ftrace,
    pmsg_size: sizes.pmsg,
    tty_size: sizes.tty,
    ecc,
    preset: 'linux-6.2',
    endian: 'little' as const,
  }
  return reportRegion(parameters, {
    order: presets['linux-6.2']!.order.filter(kind => sizes[kind] > 0),
    certain: false,
    open: undescribed,
    evidence: lines,
    others: [],
  })
}

/** A file or folder that describes regions, and the regions. */
export interface DescribedRegions {
  kind: 'a device tree' | 'a kernel command line' | 'a folder of module parameters'
  regions: FoundRegion[]
}

/**
 * Read a file or folder that may describe regions.
 *
 * @returns null where it is no description, but may be memory
 */
export const readDescription = (source: string): DescribedRegions | null => {
  const as = (
    kind: DescribedRegions['kind'],
    descriptions: readonly Description[],
  ): DescribedRegions => ({ kind, regions: descriptions.map(toRegion) })
  const opened = openIfPossible(source)
  if (!opened) return null
  try {
    const { fd, stat } = opened
    if (stat.isDirectory()) {
      const parameters = describeParameters(source)
      if (parameters) return as('a folder of module parameters', [parameters])
      const tree = describeTreeFolder(source)
      return tree && as('a device tree', tree)
    }
    if (!stat.isFile() || stat.size > largestBlob) return null
    const start = readStart(fd)
    // A PCI device's memory in /sys can only be mapped.
    if (!start) return null
    if (isBlob(start))
      return as('a device tree', describeBlob(readToEnd(source, fd, stat, largestBlob)))
    // stat says of a file in /proc that it is empty.
    if (stat.size > largestText || start.includes(0)) return null
    const line = describeCommandLine(start.toString('latin1'))
    return line && as('a kernel command line', [line])
  } finally {
    fs.closeSync(opened.fd)
  }
}

/** The regions that a file or folder describes; null where it is no description. */
export const describedBy = (source: string): FoundRegion[] | null =>
  readDescription(source)?.regions ?? null

/** Null where it cannot be opened: opening it as memory says why. */
const openIfPossible = (source: string): Opened | null => {
  try {
    return openNow(source)
  } catch (error) {
    assertStoreError(error)
    return null
  }
}

/** The first bytes of a file; null where it cannot be read. */
const readStart = (fd: number): Buffer | null => {
  const bytes = Buffer.alloc(largestText)
  try {
    return bytes.subarray(0, fs.readSync(fd, bytes, 0, bytes.length, 0))
  } catch {
    return null
  }
}
