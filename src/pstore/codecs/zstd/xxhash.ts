/** XXH64, of which a zstd frame has the low 32 bits behind its text: in halves of 64 bits, as BigInt takes long. */

/** 64 bits. */
interface Long {
  readonly high: number
  readonly low: number
}

const longOf = (n: bigint): Long => ({
  high: Number(BigInt.asIntN(32, n >> 32n)),
  low: Number(BigInt.asIntN(32, n)),
})

const prime1 = longOf(0x9e3779b185ebca87n)
const prime2 = longOf(0xc2b2ae3d27d4eb4fn)
const prime3 = longOf(0x165667b19e3779f9n)
const prime4 = longOf(0x85ebca77c2b2ae63n)
const prime5 = longOf(0x27d4eb2f165667c5n)

const zero: Long = { high: 0, low: 0 }

const add = (a: Long, b: Long): Long => {
  const low = (a.low >>> 0) + (b.low >>> 0)
  return { high: (a.high + b.high + (low > 0xffffffff ? 1 : 0)) | 0, low: low | 0 }
}

const xor = (a: Long, b: Long): Long => ({ high: a.high ^ b.high, low: a.low ^ b.low })

/** @param n from 1 to 31 */
const rotate = ({ high, low }: Long, n: number): Long => ({
  high: (high << n) | (low >>> (32 - n)),
  low: (low << n) | (high >>> (32 - n)),
})

const shiftRight = ({ high, low }: Long, n: number): Long =>
  n >= 32
    ? { high: 0, low: high >>> (n - 32) }
    : { high: high >>> n, low: (low >>> n) | (high << (32 - n)) }

const multiply = (a: Long, b: Long): Long => {
  // The low halves by 16 bits, as their product has 64.
  const [aHigh, aLow, bHigh, bLow] = [a.low >>> 16, a.low & 0xffff, b.low >>> 16, b.low & 0xffff]
  const small = aLow * bLow
  const middle = aHigh * bLow + (small >>> 16)
  const other = aLow * bHigh + (middle & 0xffff)
  const carried = aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536)
  return {
    high: (carried + Math.imul(a.high, b.low) + Math.imul(a.low, b.high)) | 0,
    low: (other << 16) | (small & 0xffff),
  }
}

const round = (sum: Long, input: Long): Long =>
  multiply(rotate(add(sum, multiply(input, prime2)), 31), prime1)

const merge = (hash: Long, sum: Long): Long =>
  add(multiply(xor(hash, round(zero, sum)), prime1), prime4)

const longAt = (bytes: Buffer, at: number): Long => ({
  high: bytes.readInt32LE(at + 4),
  low: bytes.readInt32LE(at),
})

const stripe = 32

/** The hash of bytes that come in pieces; the seed is 0. */
export class XxHash64 {
  #sums = [add(prime1, prime2), prime2, zero, longOf(-0x9e3779b185ebca87n)]
  #length = 0
  /** Bytes that are no stripe yet. */
  #rest = Buffer.alloc(0)

  add(piece: Buffer): void {
    this.#length += piece.length
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, piece]) : piece
    let at = 0
    for (; at + stripe <= bytes.length; at += stripe)
      this.#sums = this.#sums.map((sum, i) => round(sum, longAt(bytes, at + 8 * i)))
    // A copy: the piece's bytes do not stay.
    this.#rest = Buffer.from(bytes.subarray(at))
  }

  /** The low 32 bits, unsigned. */
  get low(): number {
    const [a = zero, b = zero, c = zero, d = zero] = this.#sums
    let hash = prime5
    if (this.#length >= stripe) {
      hash = add(add(rotate(a, 1), rotate(b, 7)), add(rotate(c, 12), rotate(d, 18)))
      for (const sum of [a, b, c, d]) hash = merge(hash, sum)
    }
    hash = add(hash, longOf(BigInt(this.#length)))
    const rest = this.#rest
    let at = 0
    for (; at + 8 <= rest.length; at += 8) {
      hash = xor(hash, round(zero, longAt(rest, at)))
      hash = add(multiply(rotate(hash, 27), prime1), prime4)
    }
    if (at + 4 <= rest.length) {
      hash = xor(hash, multiply({ high: 0, low: rest.readInt32LE(at) }, prime1))
      hash = add(multiply(rotate(hash, 23), prime2), prime3)
      at += 4
    }
    for (const byte of rest.subarray(at)) {
      hash = xor(hash, multiply({ high: 0, low: byte }, prime5))
      hash = multiply(rotate(hash, 11), prime1)
    }
    hash = multiply(xor(hash, shiftRight(hash, 33)), prime2)
    hash = multiply(xor(hash, shiftRight(hash, 29)), prime3)
    return xor(hash, shiftRight(hash, 32)).low >>> 0
  }
}
