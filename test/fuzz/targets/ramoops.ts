/** A region with any layout and any bytes. The first bytes choose the layout: {@link encodeLayout}. */
import { attach, type AttachOptions } from '#src/index.js'
import { blockSize, codec, maxEccSize } from '#src/backends/ramoops/ecc.js'
import { divideZone, makeLayout, type RamoopsLayout } from '#src/backends/ramoops/layout.js'
import { zoneHeaderSize } from '#src/backends/ramoops/zone-header.js'
import { fixtures } from '../../fixtures.js'
import { randomLayout, randomRegion } from '../../model/make.js'
import { Random } from '../../random.js'
import { checkBackend, Scratch, type Target } from '../target.js'
import { zoneKinds } from '#src/pstore/types.js'

const headSize = 10
const orders = [
  ['dmesg', 'console', 'pmsg', 'tty', 'ftrace'],
  ['dmesg', 'console', 'ftrace', 'pmsg', 'tty'],
  ['console', 'dmesg', 'tty', 'ftrace', 'pmsg'],
  ['ftrace', 'tty', 'pmsg', 'console', 'dmesg'],
] as const satisfies (typeof zoneKinds)[number][][]
const sizes = ['record_size', 'console_size', 'ftrace_size', 'pmsg_size', 'tty_size'] as const
/** Whose rules make the zones; Rockchip's have a boot log in front. */
const presets = ['linux-6.2', 'linux-pre-4.10', 'linux-3.4', 'rockchip'] as const
const bigEndian = 4
const oneFtrace = 8
const freshParity = 16

/**
 * Order and switches, parity bytes, CPUs, and a power of two for each size (0: none); the rules and the number
 * of boot logs, and the power of two for those.
 */
const encodeLayout = (layout: AttachOptions): Buffer => {
  const kinds = (layout.order ?? orders[0]).filter(kind => kind !== 'boot-log')
  const order = orders.findIndex(order => order.join() === kinds.join())
  const rules = layout.boot_log_size ? presets.indexOf('rockchip') : 0
  const exponent = (size: number): number => (size < 1 ? 0 : 1 + Math.floor(Math.log2(size)))
  return Buffer.of(
    order | (layout.endian === 'big' ? bigEndian : 0) | (layout.flags === 0 ? oneFtrace : 0),
    layout.ecc === 1 ? 16 : (layout.ecc ?? 0),
    layout.cpus ?? 1,
    ...sizes.map(size => exponent(layout[size] ?? 0)),
    rules | (((layout.boot_log_count ?? 1) - 1) << 2),
    exponent(layout.boot_log_size ?? 0),
  )
}

const decodeLayout = (head: Buffer): AttachOptions => {
  const sizeOf = (exponent: number): number => (exponent ? 2 ** (exponent - 1) : 0)
  const preset = presets[head[8] & 3]
  const order = [...orders[head[0] & 3]]
  const isRockchip = preset === 'rockchip'
  const options: AttachOptions = {
    preset,
    order: isRockchip ? ['boot-log', ...order] : order,
    endian: head[0] & bigEndian ? 'big' : 'little',
    flags: head[0] & oneFtrace ? 0 : 1,
    ecc: head[1] % (maxEccSize + 1),
    cpus: 1 + ((head[2] + 15) % 16),
  }
  sizes.forEach((size, i) => {
    options[size] = sizeOf(head[3 + i] % 20)
  })
  if (isRockchip) {
    options.boot_log_size = sizeOf(head[9] % 20)
    options.boot_log_count = 1 + ((head[8] >> 2) & 3)
  }
  return options
}

/** Give all blocks a parity that fits, so that what was changed is believed. */
const addParity = (region: Buffer, { zones, ecc, oldParity }: RamoopsLayout): void => {
  const rs = codec(ecc)
  for (const { offset, size } of zones) {
    const { data, blocks } = divideZone(size, ecc, oldParity)!
    const zone = region.subarray(offset, offset + size)
    const parity = zoneHeaderSize + data
    for (let block = 0; block * blockSize < data; block++) {
      const at = block * blockSize
      const length = Math.min(blockSize, data - at)
      rs.encode(zone, zoneHeaderSize + at, length, zone, parity + block * ecc)
    }
    rs.encode(zone, 0, zoneHeaderSize, zone, parity + blocks * ecc)
  }
}

const file = new Scratch()

export const target: Target = {
  seeds() {
    const real = fixtures()
      .filter(({ backend, layout }) => backend === 'ramoops' && layout.mem_size <= 32768)
      .map(({ layout, region }) => Buffer.concat([encodeLayout(layout), region()]))
    const random = new Random(1)
    const made = Array.from({ length: 100 }, () => {
      const layout = randomLayout(random)
      return Buffer.concat([encodeLayout(layout), randomRegion(random, layout)])
    })
    return [...real, ...made]
  },
  words: ['\xff\x0c\x06\x43', 'DBGC\0\0\0\0\0\0\0\0', 'DBGC\x01\0\0\0\x01\0\0\0'],
  longest: 49152,
  run(bytes) {
    if (bytes.length <= headSize) return
    const options = decodeLayout(bytes)
    const region = Buffer.from(bytes.subarray(headSize))
    const layout = makeLayout(options, region.length)
    if (layout.ecc && bytes[0] & freshParity) addParity(region, layout)
    file.write(region)
    checkBackend(() => attach(file.path, options), file, region)
  },
}
