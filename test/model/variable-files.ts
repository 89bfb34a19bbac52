/** Files that list EFI variables, made from their descriptions: doc/formats.md 4.3 and 4.4. */
import zlib from 'node:zlib'

export interface Listed {
  name: string
  guid: string
  data: Uint8Array
  attr?: number
}

/** As QEMU's device uefi-vars writes it. */
export const jsonOf = (variables: readonly Listed[]): string =>
  JSON.stringify(
    {
      version: 2,
      variables: variables.map(({ data, attr = 7, ...rest }) => ({
        ...rest,
        attr,
        data: Buffer.from(data).toString('hex'),
      })),
    },
    null,
    4,
  )

const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const sized = (bytes: Uint8Array): Buffer => Buffer.concat([u64(bytes.length), bytes])

/** A GUID's bytes: the first three fields are little-endian. */
const guidOf = (text: string): Buffer => {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
  return Buffer.from(order.map(at => bytes[at]))
}

/** CRC-32C, a bit at a time. */
const sumOf = (bytes: Uint8Array): number => {
  let sum = 0xffffffff
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0x82f63b78 : 0)
  }
  return ~sum >>> 0
}

/** A blob around some zlib stream. */
export const wrapped = (stream: Uint8Array, version = 0): Buffer => {
  const rest = Buffer.concat([u32(version), stream])
  return Buffer.concat([Buffer.from('AMZNUEFI'), u32(sumOf(rest)), rest])
}

/** The list in a blob. */
export const listOf = (variables: readonly Listed[]): Buffer =>
  Buffer.concat([
    u64(variables.length),
    ...variables.flatMap(({ name, guid, data, attr = 7 }) => [
      sized(Buffer.from(name)),
      sized(data),
      guidOf(guid),
      u32(attr),
      ...(attr & 0x20 ? [Buffer.alloc(16), sized(Buffer.alloc(32, 1))] : []),
    ]),
  ])

/** A whole blob, as AWS gives it: in base64. */
export const blobOf = (variables: readonly Listed[], dictionary?: Buffer): string =>
  wrapped(
    zlib.deflateSync(listOf(variables), { level: 9, ...(dictionary ? { dictionary } : {}) }),
  ).toString('base64')
