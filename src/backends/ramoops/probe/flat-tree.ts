/**
 * Device trees as they are kept: flattened blobs, alone, in a row or within other bytes, and the folder in which
 * Linux shows one.
 *
 * Source: Devicetree Specification 5 (the blob, always big-endian).
 */
import fs from 'node:fs'
import path from 'node:path'
import { readWhole } from '../../../native/open.js'
import { assertStoreError } from '../../../pstore/errors.js'

export interface Node {
  readonly name: string
  /** Null of a tree's root. */
  readonly parent: Node | null
  readonly properties: Map<string, Buffer>
  readonly children: Node[]
}

/** Bytes in which blobs are sought. */
export interface Bytes {
  readonly length: number
  load(offset: number, length: number): Buffer
}

/** A tree, and where its blob starts. */
export interface Tree {
  readonly at: number
  /** Null where it is broken. */
  readonly root: Node | null
  /** Bytes of its blob, as that says, where there are fewer. */
  readonly cutOf?: number
}

const magic = Buffer.from([0xd0, 0x0d, 0xfe, 0xed])
const headerSize = 40
const lengthAt = 4
const token = { begin: 1, end: 2, property: 3, nop: 4, last: 9 } as const
/** Bounds for hostile trees: others are some levels deep, with some thousand nodes. */
const mostLevels = 64
const mostNodes = 2 ** 17
const longestProperty = 4096
const longestName = 256
/** The largest blob that is read: others have some hundred KiB. */
export const largestBlob = 2 ** 24
/** Blobs in one source that are read, and their bytes together. */
const mostBlobs = 256
const mostBytes = 2 ** 26
/** Bytes that are searched in one go. */
const chunk = 2 ** 20

const aligned = (n: number): number => (n + 3) & ~3

export const isBlob = (bytes: Buffer): boolean =>
  bytes.length >= headerSize && bytes.subarray(0, 4).equals(magic)

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
  let root: Node | null = null
  let node: Node | null = null
  let level = 0
  let nodes = 0
  let at = structs
  while (at + 4 <= bytes.length) {
    const type = bytes.readUInt32BE(at)
    at += 4
    if (type === token.begin) {
      if (++level > mostLevels || ++nodes > mostNodes) return null
      const end = bytes.indexOf(0, at)
      if (end < 0) return null
      const child: Node = { name: textAt(at), parent: node, properties: new Map(), children: [] }
      node?.children.push(child)
      root ??= child
      node = child
      at = aligned(end + 1)
    } else if (type === token.end) {
      if (!node) return null
      node = node.parent
      level--
    } else if (type === token.property) {
      if (at + 8 > bytes.length) return null
      const length = bytes.readUInt32BE(at)
      const name = textAt(strings + bytes.readUInt32BE(at + 4))
      if (at + 8 + length > bytes.length) return null
      node?.properties.set(name, bytes.subarray(at + 8, at + 8 + length))
      at = aligned(at + 8 + length)
    } else if (type === token.last) return node ? null : root
    else if (type !== token.nop) return null
  }
  return null
}

/** The length of the blob whose header this is; 0 where its numbers are none of a blob's. */
const lengthOf = (header: Buffer, room: number): number => {
  const [length = 0, structs = 0, strings = 0, , version = 0] = [4, 8, 12, 16, 20].map(at =>
    header.readUInt32BE(at),
  )
  const isSane =
    length <= Math.min(room, largestBlob) &&
    structs >= headerSize &&
    structs < length &&
    strings >= headerSize &&
    strings <= length &&
    version >= 16
  return isSane ? length : 0
}

/**
 * The trees in a source, wherever they start in it: a blob, several in a row (dtb partitions, vendor_boot), one
 * behind a kernel (zImage-dtb). One that the source begins with is told of even where it is broken.
 *
 * @throws StoreError (EIO) where the source cannot be read
 */
export const treesIn = (source: Bytes): Tree[] => {
  const found: Tree[] = []
  let left = mostBytes
  let next = 0
  for (let from = 0; from < source.length; from += chunk) {
    // The magic may lie across the end of what is searched.
    const bytes = source.load(from, Math.min(chunk + magic.length - 1, source.length - from))
    for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) {
      const start = from + at
      const room = source.length - start
      if (start < next || room < headerSize) continue
      const header = source.load(start, headerSize)
      const length = lengthOf(header, room)
      if (length === 0 && start > 0) continue
      if (found.length === mostBlobs || left <= 0) return found
      const blob = source.load(start, length || Math.min(room, largestBlob))
      const root = parseBlob(blob)
      left -= blob.length
      const says = header.readUInt32BE(lengthAt)
      if (root) found.push({ at: start, root })
      else if (start === 0) found.push({ at: start, root, ...(says > room && { cutOf: says }) })
      if (root) next = start + length
    }
  }
  return found
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

/** The tree in a folder: a folder for each node, a file for each property. */
const readFolder = (
  folder: string,
  name: string,
  left: { nodes: number },
  parent: Node | null = null,
  level = 0,
): Node => {
  const node: Node = { name, parent, properties: new Map(), children: [] }
  if (level > mostLevels) return node
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) {
      if (left.nodes-- > 0) node.children.push(readFolder(file, entry.name, left, node, level + 1))
    } else if (entry.isFile()) {
      const value = readProperty(file)
      if (value) node.properties.set(entry.name, value)
    }
  }
  return node
}

/** The tree in a folder such as /proc/device-tree; null where it is some other folder. */
export const treeInFolder = (folder: string): Node | null =>
  fs.existsSync(path.join(folder, '#address-cells'))
    ? readFolder(folder, path.basename(path.resolve(folder)), { nodes: mostNodes })
    : null
