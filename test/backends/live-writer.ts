/**
 * A guest that appends numbered lines of 16 bytes to a console for ever, as fast as it can and in Linux's
 * order (fs/pstore/ram_core.c, persistent_ram_write): size, start, the bytes, their parity, the header's. A
 * process of its own; it says `full` once all of the ring is its.
 *
 * Usage: live-writer FILE LENGTH ECC (the console is all of the region)
 */
import { codec } from '#src/backends/ramoops/ecc.js'
import { divideZone } from '#src/backends/ramoops/layout.js'
import { zoneHeaderSize } from '#src/backends/ramoops/zone-header.js'
import { Region } from '#src/region/region.js'

const blockSize = 128
const [path = '', length, ecc] = process.argv.slice(2)
const size = Number(length)
const parityLength = Number(ecc)
const region = new Region(path, { map: true })
const { data, blocks } = divideZone(size, parityLength)!
const parityAt = zoneHeaderSize + data
const headerParityAt = parityAt + blocks * parityLength
const word = Buffer.alloc(4)
const block = Buffer.alloc(blockSize)
const parity = Buffer.alloc(parityLength)

const storeWord = (at: number, value: number): void => {
  word.writeUInt32LE(value)
  region.store(at, word)
}

const storeParity = (from: number, count: number, to: number): void => {
  if (parityLength === 0) return
  region.loadInto(block, from, count)
  codec(parityLength).encode(block, 0, count, parity, 0)
  region.store(to, parity)
}

const storeBytes = (at: number, line: Buffer): void => {
  region.store(zoneHeaderSize + at, line)
  if (parityLength === 0) return
  for (let n = Math.floor(at / blockSize); n * blockSize < at + line.length; n++) {
    const from = n * blockSize
    const to = parityAt + n * parityLength
    storeParity(zoneHeaderSize + from, Math.min(blockSize, data - from), to)
  }
}

let start = 0
let filled = 0
let told = false
for (let n = 0; ; n++) {
  const line = Buffer.from(`${String(n).padStart(15, '0')}\n`)
  const at = start
  filled = Math.min(data, filled + line.length)
  start = (start + line.length) % data
  storeWord(8, filled)
  storeWord(4, start)
  const first = Math.min(line.length, data - at)
  storeBytes(at, line.subarray(0, first))
  if (first < line.length) storeBytes(0, line.subarray(first))
  storeParity(0, zoneHeaderSize, headerParityAt)
  if (told || filled < data) continue
  told = true
  process.stdout.write('full\n')
}
