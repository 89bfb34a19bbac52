/** A ring's bytes in the order in which they were written. */

/** What a swap goes through. */
const chunk = Buffer.allocUnsafe(65536)

/** A ring's bytes, the oldest first: `data[start…]`, then `data[0…start)`. They are moved where they are. */
export const unwrap = (data: Buffer, start: number): Buffer => {
  // The oldest byte is first already where the ring has not wrapped, or was filled exactly.
  if (start === 0 || start === data.length) return data
  // The shorter end goes to its place by a swap of blocks, until both are of one length.
  let [left, right] = [start, data.length - start]
  while (left !== right)
    if (left < right) {
      swap(data, start - left, start + right - left, left)
      right -= left
    } else {
      swap(data, start - left, start, right)
      left -= right
    }
  swap(data, start - left, start, left)
  return data
}

/** Swap two stretches of bytes, which do not overlap. */
const swap = (bytes: Buffer, a: number, b: number, length: number): void => {
  for (let at = 0; at < length; at += chunk.length) {
    const n = Math.min(chunk.length, length - at)
    bytes.copy(chunk, 0, a + at, a + at + n)
    bytes.copyWithin(a + at, b + at, b + at + n)
    chunk.copy(bytes, b + at, 0, n)
  }
}
