/**
 * ramoops nodes in a device tree: a flattened blob, or the folder in which Linux shows it.
 *
 * Source: Devicetree Specification 5 (the blob, always big-endian); Linux's
 * Documentation/devicetree/bindings/reserved-memory/ramoops.yaml; fs/pstore/ram.c (ramoops_parse_dt).
 */
import fs from 'node:fs'
import path from 'node:path'
import { readWhole } from '../../../native/open.js'
import { assertStoreError } from '../../../pstore/errors.js'
import type { DescribedParameters, Description } from './found.js'

interface Node {
  name: string
  properties: Map<string, Buffer>
  children: Node[]
}

const magic = 0xd00dfeed
const headerSize = 40
const token = { begin: 1, end: 2, property: 3, nop: 4, last: 9 } as const
/** Bounds for hostile trees: others are some levels deep, with some thousand nodes. */
const mostLevels = 64
const mostNodes = 2 ** 17
const longestProperty = 4096
const longestName = 256
/** Regions that a tree is believed to describe. */
const mostDescribed = 64

const aligned = (n: number): number => (n + 3) & ~3

export const isBlob = (bytes: Buffer): boolean =>
  bytes.length >= headerSize && bytes.readUInt32BE(0) === magic

/** A blob's root; null where it is broken. */
const parseBlob = (bytes: Buffer): Node | null => {
  const structs = bytes.readUInt32BE(8)
  const strings = bytes.readUInt32BE(12)
  const textAt = (at: number): string => {
    // A hostile blob has the same millions of bytes as the name of each property.
    const text = bytes.subarray(at, at + longestName)
    const end = text.indexOf(0)
    return end < 0 ? '' : text.toString('latin1', 0, end)
  }
  const top: Node = { name: '', properties: new Map(), children: [] }
  const open = [top]
  let nodes = 0
  let at = structs
  while (at + 4 <= bytes.length) {
    const type = bytes.readUInt32BE(at)
    at += 4
    const node = open.at(-1)!
    if (type === token.begin) {
      if (open.length > mostLevels || ++nodes > mostNodes) return null
      const end = bytes.indexOf(0, at)
      if (end < 0) return null
      const child = { name: textAt(at), properties: new Map<string, Buffer>(), children: [] }
      node.children.push(child)
      open.push(child)
      at = aligned(end + 1)
    } else if (type === token.end) {
      if (open.length === 1) return null
      open.pop()
    } else if (type === token.property) {
      if (at + 8 > bytes.length) return null
      const length = bytes.readUInt32BE(at)
      const name = textAt(strings + bytes.readUInt32BE(at + 4))
      if (at + 8 + length > bytes.length) return null
      node.properties.set(name, bytes.subarray(at + 8, at + 8 + length))
      at = aligned(at + 8 + length)
    } else if (type === token.last) return open.length === 1 ? (top.children[0] ?? null) : null
    else if (type !== token.nop) return null
  }
  return null
}

/** Null where it is too long to be one that counts, or has gone meanwhile. */
const readProperty = (file: string): Buffer | null => {
  try {
    return readWhole(file, longestProperty)
  } catch (error) {
    assertStoreError(error)
    return null
  }
}

/** The tree in a folder such as /proc/device-tree: a folder for each node, a file for each property. */
const readFolder = (folder: string, name: string, left: { nodes: number }, level = 0): Node => {
  const node: Node = { name, properties: new Map(), children: [] }
  if (level > mostLevels) return node
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) {
      if (left.nodes-- > 0) node.children.push(readFolder(file, entry.name, left, level + 1))
    } else if (entry.isFile()) {
      const value = readProperty(file)
      if (value) node.properties.set(entry.name, value)
    }
  }
  return node
}

const number = ({ properties }: Node, name: string): number | undefined => {
  const value = properties.get(name)
  return value?.length === 4 ? value.readUInt32BE(0) : undefined
}

/** Cells of 32 bits, as one number. */
const cells = (bytes: Buffer, from: number, count: number): number => {
  let value = 0
  for (let i = from; i < from + count; i++) value = value * 2 ** 32 + bytes.readUInt32BE(4 * i)
  return value
}

const isDisabled = ({ properties }: Node): boolean => {
  const status = properties.get('status')?.toString('latin1').replace('\0', '')
  return status !== undefined && status !== 'okay' && status !== 'ok'
}

/** A node's region: properties by the bindings' names, absent ones with Linux's values. */
const describeNode = (node: Node, parent: Node): Description | null => {
  const reg = node.properties.get('reg')
  const addressCells = number(parent, '#address-cells') ?? 2
  const sizeCells = number(parent, '#size-cells') ?? 1
  if (!reg || addressCells + sizeCells > 8 || reg.length < 4 * (addressCells + sizeCells))
    return null
  const mem_address = cells(reg, 0, addressCells)
  const mem_size = cells(reg, addressCells, sizeCells)
  // No machine has memory there.
  if (Math.max(mem_address, mem_size) > Number.MAX_SAFE_INTEGER) return null
  const size = (name: string): number => number(node, name) ?? 0
  const given = {
    record_size: size('record-size'),
    console_size: size('console-size'),
    ftrace_size: size('ftrace-size'),
    pmsg_size: size('pmsg-size'),
    tty_size: size('tty-size'),
    ecc: size('ecc-size'),
    flags: size('flags'),
  }
  const { record_size, console_size, ftrace_size, pmsg_size, ecc } = given
  // Old Chromebooks have the node under the root, and count on this.
  const old =
    parent.name !== 'reserved-memory' && !console_size && !ftrace_size && !pmsg_size && !ecc
  const parameters: DescribedParameters = {
    mem_address,
    mem_size,
    ...given,
    ...(old ? { console_size: record_size, pmsg_size: record_size } : {}),
  }
  const reason = number(node, 'max-reason')
  if (reason !== undefined) parameters.max_reason = reason
  return {
    parameters,
    evidence: [
      // Characters that node names may have; any other could upset a terminal.
      `the device tree's node ${node.name.replaceAll(/[^\w,.+@-]/g, '?')}`,
      ...(isDisabled(node) ? ['it is disabled, and Linux leaves it alone'] : []),
      ...(old ? ['console and pmsg as large as a record, as Linux has it for such nodes'] : []),
    ],
    open: [],
  }
}

/** The regions of all ramoops nodes below a node. */
const describeTree = (node: Node, found: Description[] = []): Description[] => {
  for (const child of node.children) {
    if (found.length === mostDescribed) break
    const compatible = child.properties.get('compatible')?.toString('latin1').split('\0')
    const described = compatible?.includes('ramoops') ? describeNode(child, node) : null
    if (described) found.push(described)
    describeTree(child, found)
  }
  return found
}

/** The regions that a blob describes; none where the blob is broken. */
export const describeBlob = (bytes: Buffer): Description[] => {
  const root = parseBlob(bytes)
  return root ? describeTree(root) : []
}

/** The regions that a device tree's folder describes; null where it is some other folder. */
export const describeTreeFolder = (folder: string): Description[] | null =>
  fs.existsSync(path.join(folder, '#address-cells'))
    ? describeTree(readFolder(folder, path.basename(path.resolve(folder)), { nodes: mostNodes }))
    : null
