/** Regions made by hand, zone for zone, for the prober's tests. */
import { makeLayout, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import type { Endian } from '#src/pstore/types.js'
import { addParity } from '../../model/region.js'

/** 32-bit numbers. */
export const numbers = (endian: Endian, ...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries())
    if (endian === 'big') bytes.writeUInt32BE(value, 4 * i)
    else bytes.writeUInt32LE(value, 4 * i)
  return bytes
}

/** A zone's signature, and the numbers of one that has not wrapped. */
export const header = (used: number, version = 0, endian: Endian = 'little'): Buffer =>
  numbers(endian, (0x43474244 ^ version) >>> 0, used, used)

/** What a kernel of the fixtures signs ftrace zones with. */
export const version = 0x60c75

/**
 * A region as a kernel leaves it; contents by the zone, as `dmesg0`. All other zones are empty.
 *
 * @param kernel its version, which signs ftrace zones
 */
export const makeRegion = (
  parameters: RamoopsParameters,
  contents: { [zone: string]: Buffer | string },
  kernel = version,
): Buffer => {
  const { memSize, zones, ecc, endian } = makeLayout(parameters, 0)
  const region = Buffer.alloc(memSize)
  for (const { kind, index, offset, size } of zones) {
    const zone = region.subarray(offset, offset + size)
    const content = Buffer.from(contents[`${kind}${index}`] ?? '')
    header(content.length, kind === 'ftrace' ? kernel : 0, endian).copy(zone)
    content.copy(zone, 12)
    if (ecc) addParity(zone, ecc)
  }
  return region
}

/** A dump's content. */
export const dump = (n: number): string =>
  `====${1_700_000_000 + n}.000000-D\nOops#${n} Part1\n<4>text\n`

/** What ftrace recorded: a call a CPU, again and again. */
export const calls = (count: number, cpus: number, endian: Endian = 'little'): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, i) => {
      const time = [0, (i << 8) | (i % cpus)]
      const words = [[0xffffffff, 0x81000000 + i], [0xffffffff, 0x81000800], time]
      return numbers(
        endian,
        ...words.flatMap(word => (endian === 'big' ? word : word.toReversed())),
      )
    }),
  )

/** Four zones, the first with a dump that says nothing of its kernel: the others may be rings. */
export const silentRegion = (): Buffer =>
  makeRegion(
    { mem_size: 65536, record_size: 16384, console_size: 0, pmsg_size: 0, ftrace_size: 0 },
    { dmesg0: dump(0) },
  )
