/** Flattened device trees, for tests. */

/** Cells: big-endian numbers of 32 bits. */
export const u32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => bytes.writeUInt32BE(value, 4 * i))
  return bytes
}
const padded = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])

export type Tree = { [name: string]: Buffer | Tree }

/** A blob (Devicetree Specification 5): a property's value is a Buffer, a node's a tree. */
export const makeBlob = (tree: Tree): Buffer => {
  let strings = Buffer.alloc(0)
  const node = (name: string, tree: Tree): Buffer =>
    Buffer.concat([
      u32(1),
      padded(Buffer.from(`${name}\0`)),
      ...Object.entries(tree).map(([name, value]) => {
        if (!Buffer.isBuffer(value)) return node(name, value)
        const at = strings.length
        strings = Buffer.concat([strings, Buffer.from(`${name}\0`)])
        return Buffer.concat([u32(3, value.length, at), padded(value)])
      }),
      u32(2),
    ])
  const structs = Buffer.concat([node('', tree), u32(9)])
  const total = 40 + structs.length + strings.length
  const head = u32(
    0xd00dfeed,
    total,
    40,
    40 + structs.length,
    40,
    17,
    16,
    0,
    strings.length,
    structs.length,
  )
  return Buffer.concat([head, structs, strings])
}
