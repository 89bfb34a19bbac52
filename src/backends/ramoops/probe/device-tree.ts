/**
 * ramoops nodes in device trees: the region that each describes, or why it describes none.
 *
 * Source: doc/formats.md 1.11; Linux's Documentation/devicetree/bindings/reserved-memory/ramoops.yaml;
 * fs/pstore/ram.c (ramoops_parse_dt), drivers/of/base.c and fdt.c (cells), of_reserved_mem.c.
 */
import { count } from '../../../pstore/condition.js'
import { assertStoreError, StoreError } from '../../../pstore/errors.js'
import type { Tree, Node } from './flat-tree.js'
import type { DescribedParameters, Description } from './found.js'
import { Overlays } from './overlays.js'

/** Regions that trees are believed to describe, and nodes that are named because they describe none. */
const mostDescribed = 64
/** The largest number that Linux takes for a property. */
const largestValue = 2 ** 31 - 1

/** What nodes describe. */
export interface NodesDescribed {
  descriptions: Description[]
  /** Of each node that describes nothing: why. */
  notes: string[]
}

/** Where a node's region is, in bytes; null: the node does not say. */
interface Place {
  address: number | null
  size: number | null
  evidence: string[]
}

/** Why Linux takes no region of a node. */
class Refusal extends StoreError {}

/** Cells as one number; 0 where there are none. */
const numberIn = (value: Buffer | undefined): number => {
  let number = 0
  for (let at = 0; value && at + 4 <= value.length; at += 4)
    number = number * 2 ** 32 + value.readUInt32BE(at)
  return number
}

/** A number that says how many cells something has. */
const cellsIn = (node: Node, name: string): number | null => {
  const value = node.properties.get(name)
  return value?.length === 4 ? Math.min(value.readUInt32BE(0), 8) : null
}

/** Characters that node names may have; any other could upset a terminal. */
const shown = (name: string): string => name.replaceAll(/[^\w,.+@/-]/g, '?')
const hex = (n: number): string => `0x${n.toString(16)}`

const nameOf = ({ name }: Node): string => name.split('@')[0]!

const textIn = (node: Node, name: string): string | undefined =>
  node.properties.get(name)?.toString('latin1').replaceAll('\0', '')

/** A property's number: absent ones are `fallback`. Linux refuses what is shorter than a cell or too large. */
const propertyIn = (node: Node, name: string, fallback: number, said: string[]): number => {
  const value = node.properties.get(name)
  if (!value) return fallback
  if (value.length < 4)
    throw new Refusal(`its ${name} has ${value.length} bytes, and Linux asks for 4`)
  const first = value.readUInt32BE(0)
  // Vendors' kernels have sizes of 64 bits, of which Linux reads the upper half.
  if (value.length === 8 && first === 0 && value.readUInt32BE(4) > 0) {
    said.push(`its ${name} has 8 bytes, of which Linux's own ramoops reads the first 4: 0`)
    return numberIn(value)
  }
  if (first > largestValue) throw new Refusal(`its ${name} ${hex(first)} is more than Linux takes`)
  return first
}

/** Refuse numbers that are no machine's. */
const checkPlace = (...numbers: number[]): void => {
  if (Math.max(...numbers) > Number.MAX_SAFE_INTEGER)
    throw new Refusal('no machine has memory there, or so much')
}

/**
 * What reg says: cells are those of the nearest node above that has them, as Linux counts; an overlay's are
 * its target's.
 */
const placeOfReg = (node: Node, reg: Buffer, overlays: Overlays): Place => {
  const evidence: string[] = []
  let address = overlays.nearest(node, at => cellsIn(at, '#address-cells'))
  let size = overlays.nearest(node, at => cellsIn(at, '#size-cells'))
  if (overlays.isIn(node)) {
    // A guess that only these lengths allow.
    const guess = { 8: [1, 1], 12: [2, 1], 16: [2, 2] }[reg.length]
    if (address === null || size === null) {
      if (!guess) {
        evidence.push(
          `its reg has ${reg.length} bytes, and the overlay does not say its target's cells`,
        )
        return { address: null, size: null, evidence }
      }
      ;[address = null, size = null] = guess
      evidence.push(
        `its reg has ${reg.length} bytes: cells of ${address} for the address and ${size} for the size, if its target has such cells`,
      )
    }
  }
  // The specification's, where no node says it.
  const cells = { address: address ?? 2, size: size ?? 1 }
  const needed = 4 * (cells.address + cells.size)
  if (reg.length < needed)
    throw new Refusal(
      `its reg has ${reg.length} bytes, and the cells above ask for ${needed} (#address-cells ${cells.address}, #size-cells ${cells.size})`,
    )
  const from = numberIn(reg.subarray(0, 4 * cells.address))
  const length = numberIn(reg.subarray(4 * cells.address, needed))
  checkPlace(from, length)
  return { address: from, size: length, evidence: [...evidence, ...unreserved(node)] }
}

/** Why Linux reserves no memory for a node below /reserved-memory, if it does not (__reserved_mem_check_root). */
const unreserved = ({ parent }: Node): string[] => {
  const root = parent?.parent
  if (!root || parent.name !== 'reserved-memory' || root.parent) return []
  const wrong = ['#address-cells', '#size-cells']
    .filter(name => cellsIn(parent, name) !== (cellsIn(root, name) ?? 1))
    .map(name => `${cellsIn(parent, name) === null ? 'no' : "not the root's"} ${name}`)
  if (!parent.properties.has('ranges')) wrong.push('no ranges')
  return wrong.length
    ? [`Linux ignores what is below /reserved-memory there: it has ${wrong.join(', ')}`]
    : []
}

/** A binding of Android's kernels before 4.10 (arch/arm/mach-msm): `android,ramoops-buffer-start` and others. */
const android = 'android,ramoops-'

/** Where a node's region is: by reg, its own or that of its memory-region, or by a size alone. */
const placeOf = (node: Node, overlays: Overlays): Place & { region: Node } => {
  const start = node.properties.get(`${android}buffer-start`)
  if (start) {
    const size = numberIn(node.properties.get(`${android}buffer-size`))
    checkPlace(numberIn(start), size)
    return { region: node, address: numberIn(start), size, evidence: [] }
  }
  const link = node.properties.get('memory-region')
  const region = (link && !node.properties.has('reg') && overlays.nodeOf(node, link)) || node
  const evidence =
    region === node
      ? []
      : [
          `its memory-region is ${shown(region.name)}, which vendors' kernels follow, and Linux's own does not`,
        ]
  const reg = region.properties.get('reg')
  if (reg) {
    const place = placeOfReg(region, reg, overlays)
    return { ...place, region, evidence: [...evidence, ...place.evidence] }
  }
  const size = region.properties.get('size')
  if (size && size.length >= 4 && size.length <= 8) {
    checkPlace(numberIn(size))
    const within = region.properties.has('alloc-ranges') ? ', within alloc-ranges' : ''
    evidence.push(`it has no reg: the kernel chooses its place as it boots${within}`)
    return { region, address: null, size: numberIn(size), evidence }
  }
  throw new Refusal(
    link && region === node
      ? 'its memory-region names no node of this tree'
      : 'it has no reg and no size: Linux finds no memory for it',
  )
}

/** Sizes by Android's binding: all others are 0. */
const androidSizes = (
  node: Node,
): Pick<DescribedParameters, 'record_size' | 'console_size' | 'preset'> => {
  const sizes = {
    record_size: numberIn(node.properties.get(`${android}record-size`)),
    console_size: numberIn(node.properties.get(`${android}console-size`)),
  }
  checkPlace(...Object.values(sizes))
  return { ...sizes, preset: 'linux-pre-4.10' }
}

/** A node's region: properties by the bindings' names, absent ones with Linux's values. */
const describeNode = (node: Node, overlays: Overlays): Description => {
  const { address, size, region, evidence: placed } = placeOf(node, overlays)
  const said: string[] = []
  const value = (name: string, fallback = 0): number => propertyIn(node, name, fallback, said)
  const isAndroid = node.properties.has(`${android}buffer-start`)
  const given = {
    record_size: value('record-size'),
    console_size: value('console-size'),
    ftrace_size: value('ftrace-size'),
    pmsg_size: value('pmsg-size'),
    tty_size: value('tty-size'),
    ecc: value('ecc-size'),
    flags: value('flags'),
    ...(isAndroid ? androidSizes(node) : {}),
  }
  const { record_size, console_size, ftrace_size, pmsg_size, ecc } = given
  const isRockchip = node.properties.has('boot-log-size')
  // Absent, its count is 0 to Rockchip's kernel.
  const rockchip: Partial<DescribedParameters> = isRockchip
    ? {
        preset: 'rockchip',
        boot_log_size: value('boot-log-size'),
        boot_log_count: value('boot-log-count'),
      }
    : {}
  const status = textIn(node, 'status')
  const isDisabled = status !== undefined && status !== 'okay' && status !== 'ok'
  // Old Chromebooks have the node under the root, and count on this.
  const parent = overlays.parentOf(node)
  const old =
    !isAndroid &&
    parent !== null &&
    nameOf(parent) !== 'reserved-memory' &&
    !console_size &&
    !ftrace_size &&
    !pmsg_size &&
    !ecc
  const panicOnly = [node, region].some(({ properties }) => properties.has('no-dump-oops'))
  const says = panicOnly || node.properties.has('max-reason')
  return {
    parameters: {
      ...(address === null ? {} : { mem_address: address }),
      ...(size === null ? {} : { mem_size: size }),
      ...given,
      ...rockchip,
      ...(old ? { console_size: record_size, pmsg_size: record_size } : {}),
      ...(says ? { max_reason: value('max-reason', panicOnly ? 1 : 2) } : {}),
    },
    evidence: [
      `the device tree's node ${shown(node.name)}`,
      ...(overlays.isIn(node) ? [`in an overlay for ${overlays.targetOf(node)}`] : []),
      ...(isDisabled ? ['it is disabled, and Linux leaves it alone'] : []),
      ...placed,
      ...said,
      ...(old ? ['console and pmsg as large as a record, as Linux has it for such nodes'] : []),
      ...(isAndroid ? ["a binding of Android's kernels before 4.10, which may be of 3.x"] : []),
      ...(isRockchip
        ? ["Rockchip's: a kernel without CONFIG_PSTORE_BOOT_LOG has no boot log (boot_log_size 0)"]
        : []),
    ],
    open: [
      ...(address === null ? ['mem_address'] : []),
      ...(size === null ? ['mem_size'] : []),
      ...(isRockchip ? ['boot_log_size'] : []),
      ...(isAndroid ? ['preset'] : []),
    ],
  }
}

/** The ramoops nodes below a node, whoever's they are. */
function* ramoopsBelow(node: Node): Generator<Node, void, void> {
  for (const child of node.children) {
    if (/ramoops/i.test(textIn(child, 'compatible') ?? '')) yield child
    yield* ramoopsBelow(child)
  }
}

/** What a description says of its region. */
const saidBy = ({ parameters, open }: Description): string => JSON.stringify([parameters, open])

/** The regions that trees describe, each once where several trees have it, and the nodes that describe none. */
export const describeTrees = (trees: readonly Tree[]): NodesDescribed => {
  const roots = trees.flatMap(({ root }) => root ?? [])
  const overlays = new Overlays(roots)
  const descriptions: Description[] = []
  const notes = new Set<string>()
  for (const { root, cutOf } of trees)
    if (!root)
      notes.add(
        cutOf === undefined
          ? 'it is broken: nothing in it can be read'
          : `it is cut short: its header says ${count(cutOf, 'byte')}`,
      )
  const said = new Set<string>()
  for (const root of roots) {
    const before = new Set(said)
    for (const node of ramoopsBelow(root)) {
      if (descriptions.length + notes.size === mostDescribed) break
      try {
        const description = describeNode(node, overlays)
        const saying = saidBy(description)
        said.add(saying)
        if (!before.has(saying)) descriptions.push(description)
      } catch (error) {
        assertStoreError(error)
        notes.add(`the device tree's node ${shown(node.name)}: Linux ignores it: ${error.message}`)
      }
    }
  }
  return { descriptions, notes: [...notes] }
}
