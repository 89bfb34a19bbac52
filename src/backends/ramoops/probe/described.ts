/** Regions that a device tree, a command line, a log or module parameters describe; their bytes are elsewhere. */
import fs from 'node:fs'
import { readToEnd, type Opened } from '../../../native/open.js'
import { assertStoreError, StoreError } from '../../../pstore/errors.js'
import { foreignForm } from '../../../region/images/foreign.js'
import type { UnpackProgress } from '../../../region/images/image.js'
import { openContent } from '../../../region/images/index.js'
import { makeLayout, presets } from '../layout.js'
import { describeParameters, type Said } from './boot-parameters.js'
import { describeTrees } from './device-tree.js'
import { isBlob, largestBlob, treeInFolder, treesIn, type Bytes, type Tree } from './flat-tree.js'
import { reportRegion, type Description, type FoundRegion } from './found.js'
import { writeWhereabouts } from './options.js'
import { describeText, type TextSaid } from './texts.js'

/** Zones that a region is believed to have. */
const mostZones = 2 ** 16
/** The largest text that is read: command lines have some KiB, logs some hundred. */
const largestText = 2 ** 21
/** Bytes at a file's start that tell what it is. */
const startSize = 2 ** 16
/** The longest source in which trees behind other bytes are sought: partitions and images of kernels. */
const largestImage = 2 ** 28

/** Report a description as a region. Its mem_address is an address in the machine's memory. */
const toRegion = ({
  parameters: given,
  evidence,
  open,
  isOrderKnown,
}: Description): FoundRegion => {
  const all = { cpus: 1, preset: 'linux-6.2', ...given }
  const { order, exactSizes } = presets[all.preset]!
  const { mem_address = 0, mem_size = 0, record_size, ftrace_size, pmsg_size, tty_size } = all
  // Where the size is not described, the zones are those of a region with a single dump.
  const rings = all.console_size + ftrace_size + pmsg_size + tty_size + (all.boot_log_size ?? 0)
  const room = all.mem_size ?? record_size + rings
  // Linux 6.2 changed the order, and the number of CPUs is the machine's.
  const undescribed = [
    ...open,
    ...(ftrace_size && all.flags & 1 ? ['cpus'] : []),
    ...(ftrace_size && (pmsg_size || tty_size) && !isOrderKnown ? ['order'] : []),
    'endian',
  ]
  const sizes = { dmesg: 0, console: 0, ftrace: 0, pmsg: 0, tty: 0, 'boot-log': 0 }
  const lines = [...evidence]
  let { ecc } = all
  try {
    if (record_size > 0 && room > mostZones * record_size)
      throw new StoreError('more zones than any region has')
    const layout = makeLayout(all, room)
    ecc = layout.ecc
    for (const { kind, size } of layout.zones) if (kind !== 'dmesg') sizes[kind] += size
    const dumps = layout.zones.filter(({ kind }) => kind === 'dmesg').length
    if (dumps) sizes.dmesg = exactSizes ? record_size : 2 ** Math.floor(Math.log2(record_size))
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
    endian: 'little' as const,
  }
  const region = reportRegion(parameters, null, {
    order: order.filter(kind => sizes[kind] > 0),
    certain: false,
    open: undescribed,
    evidence: lines,
    others: [],
  })
  // A log without the sizes says where the region is, and no more.
  const isSized = !open.includes('record_size')
  return isSized ? region : { ...region, options: writeWhereabouts(parameters) }
}

/** A file or folder that describes regions, the regions, and why others of it are none. */
export interface DescribedRegions {
  kind:
    | 'a device tree'
    | 'a file with device trees in it'
    | 'a folder of module parameters'
    | TextSaid['kind']
  regions: FoundRegion[]
  notes: string[]
}

const ofTrees = (trees: readonly Tree[]): DescribedRegions => {
  const { descriptions, notes } = describeTrees(trees)
  return { kind: 'a device tree', regions: descriptions.map(toRegion), notes }
}

const ofSaid = (
  kind: DescribedRegions['kind'],
  { description, notes }: Said,
): DescribedRegions => ({
  kind,
  regions: description ? [toRegion(description)] : [],
  notes,
})

/**
 * Read a file or folder that may describe regions; of a compressed file what is in it.
 *
 * @param progress told how much of that has been unpacked
 * @returns null where it is no description, but may be memory
 */
export const readDescription = (
  source: string,
  progress?: UnpackProgress,
): DescribedRegions | null => {
  const opened = openIfPossible(source, progress)
  if (!opened) return null
  try {
    const { fd, stat } = opened
    if (stat.isDirectory()) {
      const parameters = describeParameters(source)
      if (parameters) return ofSaid('a folder of module parameters', parameters)
      const root = treeInFolder(source)
      return root && ofTrees([{ at: 0, root }])
    }
    if (!stat.isFile()) return null
    const start = readStart(fd)
    // A PCI device's memory in /sys can only be mapped.
    if (!start) return null
    if (isBlob(start) && stat.size <= largestBlob) {
      const bytes = readToEnd(source, fd, stat, largestBlob)
      return ofTrees(treesIn({ length: bytes.length, load: (at, n) => bytes.subarray(at, at + n) }))
    }
    // stat says of a file in /proc that it is empty.
    if (stat.size > largestText || start.includes(0) || foreignForm(start)) return null
    const text = readToEnd(source, fd, stat, largestText).toString('latin1')
    const said = describeText(text)
    return said && ofSaid(said.kind, said)
  } finally {
    fs.closeSync(opened.fd)
  }
}

/**
 * The trees in what is no description as a whole: partitions with blobs, kernels with one behind them.
 *
 * @returns null where none has a ramoops node
 * @throws StoreError (EIO) where it cannot be read
 */
export const describedWithin = (bytes: Bytes): DescribedRegions | null => {
  if (bytes.length > largestImage) return null
  const { descriptions, notes } = describeTrees(treesIn(bytes))
  if (descriptions.length + notes.length === 0) return null
  return { kind: 'a file with device trees in it', regions: descriptions.map(toRegion), notes }
}

/** The regions that a file or folder describes; null where it is no description. */
export const describedBy = (source: string, progress?: UnpackProgress): FoundRegion[] | null =>
  readDescription(source, progress)?.regions ?? null

/** Null where it cannot be opened: opening it as memory says why. */
const openIfPossible = (source: string, progress?: UnpackProgress): Opened | null => {
  try {
    return openContent(source, progress)
  } catch (error) {
    assertStoreError(error)
    return null
  }
}

/** The first bytes of a file; null where it cannot be read. */
const readStart = (fd: number): Buffer | null => {
  const bytes = Buffer.alloc(startSize)
  try {
    return bytes.subarray(0, fs.readSync(fd, bytes, 0, bytes.length, 0))
  } catch {
    return null
  }
}
