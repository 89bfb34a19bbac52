/** A region that notes each store, for a replay of every prefix of them. */
import { Region } from '#src/region/region.js'

export class NotingRegion extends Region {
  stores: { offset: number; bytes: Buffer }[] = []
  /** How many stores had been made whenever a disk would have been waited for. */
  settled: number[] = []

  override store(offset: number, bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.stores.push({ offset, bytes: Buffer.from(bytes.subarray(start, end)) })
    super.store(offset, bytes, start, end)
  }

  override settle(): void {
    this.settled.push(this.stores.length)
    super.settle()
  }
}
