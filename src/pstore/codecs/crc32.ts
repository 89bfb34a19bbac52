/** The CRC-32 that Linux calls crc32_be: the highest bit first, and nothing inverted (lib/crc32.c). */
const polynomial = 0x04c11db7

const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24
  for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? polynomial : 0)
  return crc
})

/** @param seed the CRC of what came before; 0 at first */
export const crc32be = (seed: number, bytes: Buffer): number => {
  let crc = seed
  for (const byte of bytes) crc = (crc << 8) ^ table[(crc >>> 24) ^ byte]!
  return crc >>> 0
}
