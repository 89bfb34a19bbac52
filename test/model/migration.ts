/** QEMU's migration streams, made from their description: doc/formats.md 12. */

/** Bytes, numbers and texts, one behind another; a string has its length before it. */
export type Part =
  string | Uint8Array | { u8: number } | { u16: number } | { u32: number } | { u64: number }

export const join = (...parts: Part[]): Buffer =>
  Buffer.concat(
    parts.map(part => {
      if (typeof part === 'string')
        return Buffer.from(`${String.fromCharCode(part.length)}${part}`, 'latin1')
      if (part instanceof Uint8Array) return part
      const [[kind, value]] = Object.entries(part) as [[string, number]]
      const bits = Number(kind.slice(1))
      return Buffer.from(
        BigInt(value)
          .toString(16)
          .padStart(bits / 4, '0'),
        'hex',
      )
    }),
  )

export const head = join(Buffer.from('QEVM'), { u32: 3 })

/** The machine's name, and more of the configuration. */
export const configuration = (machine: string, ...more: Part[]): Buffer =>
  join({ u8: 7 }, { u32: machine.length }, Buffer.from(machine), ...more)

export const pageBits = (bits: number): Buffer =>
  join({ u8: 5 }, 'configuration/target-page-bits', { u32: 1 }, { u32: bits })

export const capabilities = (...names: string[]): Buffer =>
  join({ u8: 5 }, 'configuration/capabilities', { u32: 1 }, { u32: names.length }, ...names)

export const uuid = join({ u8: 5 }, 'configuration/uuid', { u32: 1 }, Buffer.alloc(16, 7))

/** A section that begins with a name: by default the RAM's first. */
export const start = (parts: Part[], { name = 'ram', id = 2, kind = 1 } = {}): Buffer =>
  join({ u8: kind }, { u32: id }, name, { u32: 0 }, { u32: 4 }, ...parts)

/** One that goes on (2) or ends (3). */
export const more = (kind: 2 | 3, parts: Part[], id = 2): Buffer =>
  join({ u8: kind }, { u32: id }, ...parts)

export const footer = join({ u8: 0x7e }, { u32: 2 })
export const eos = join({ u64: 0x10 })

/** The list of blocks; `each` is put behind a block's length. */
export const list = (blocks: [name: string, length: number, ...each: Part[]][]): Buffer =>
  join(
    { u64: blocks.reduce((sum, [, length]) => sum + length, 0) + 4 },
    ...blocks.flatMap(([name, length, ...each]) => [name, { u64: length }, ...each]),
  )

/** A page of a block, or of the one before where there is no name; a number is what fills it. */
export const page = (name: string | null, offset: number, content: Uint8Array | number): Buffer => {
  const filled = typeof content === 'number'
  return join(
    { u64: offset + (filled ? 2 : 8) + (name === null ? 0x20 : 0) },
    ...(name === null ? [] : [name]),
    filled ? { u8: content } : content,
  )
}

/** The whole stream of a machine whose one block is some memory: its empty pages as zeros. */
export const streamOf = (memory: Uint8Array, name = 'pc.ram'): Buffer => {
  const pages: Buffer[] = []
  for (let at = 0; at < memory.length; at += 4096) {
    const bytes = Buffer.alloc(4096)
    bytes.set(memory.subarray(at, at + 4096))
    pages.push(page(at === 0 ? name : null, at, bytes.some(byte => byte > 0) ? bytes : 0))
  }
  return join(
    head,
    configuration('pc-i440fx-7.2'),
    start([list([[name, 4096 * pages.length]]), eos]),
    footer,
    more(2, [...pages, eos]),
    footer,
    more(3, [eos]),
    footer,
    // What devices are like has no length that says where it ends.
    start([Buffer.from('the timer')], { name: 'timer', id: 0, kind: 4 }),
  )
}

/** libvirt's header and the guest's XML, before a stream. */
export const saveOf = (
  stream: Uint8Array,
  {
    magic = 'LibvirtQemudSave',
    version = 2,
    format = 0,
    endian = 'little' as 'little' | 'big',
  } = {},
): Buffer => {
  const xml = Buffer.from('<domain/>\0')
  const header = Buffer.alloc(92)
  header.write(magic, 'latin1')
  for (const [i, value] of [version, xml.length, 1, format, 0].entries())
    if (endian === 'big') header.writeUInt32BE(value, 16 + 4 * i)
    else header.writeUInt32LE(value, 16 + 4 * i)
  return Buffer.concat([header, xml, stream])
}
