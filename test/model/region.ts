/**
 * What Linux shows of a ramoops region, the slow way: FORMATS.md 1 and 2, read a second time for
 * tests, one sentence after the other. It shares nothing with the reading in src/ but zlib.
 */
import zlib from 'node:zlib'
import { correct, parityOf } from './parity.js'

export type Kind = 'dmesg' | 'console' | 'pmsg' | 'tty' | 'ftrace'

export interface ModelLayout {
  mem_size: number
  record_size: number
  console_size: number
  ftrace_size: number
  pmsg_size: number
  tty_size: number
  ecc: number
  flags: number
  cpus: number
  order: Kind[]
  endian: 'little' | 'big'
}

export interface ModelZone {
  kind: Kind
  index: number
  offset: number
  size: number
}

export interface ModelFile {
  name: string
  size: number
  time: { sec: bigint; nsec: number } | null
  bytes: Buffer
}

const roundDown = (size: number): number => {
  let power = 1
  while (power * 2 <= size) power *= 2
  return size ? power : 0
}

/** 1.2: the zones, without gaps; null where the layout is not one that a kernel would take. */
export const zonesOf = (layout: ModelLayout): ModelZone[] | null => {
  const record = roundDown(layout.record_size)
  const sizes = {
    console: roundDown(layout.console_size),
    pmsg: roundDown(layout.pmsg_size),
    tty: roundDown(layout.tty_size),
    ftrace: roundDown(layout.ftrace_size),
  }
  const dumps = layout.mem_size - sizes.console - sizes.pmsg - sizes.tty - sizes.ftrace
  if (dumps < 0 || layout.mem_size === 0) return null
  const zones: ModelZone[] = []
  let offset = 0
  for (const kind of layout.order) {
    const total = kind === 'dmesg' ? (record ? dumps : 0) : sizes[kind]
    if (total === 0) continue
    let count = 1
    if (kind === 'dmesg') count = Math.floor(total / record)
    if (kind === 'ftrace' && layout.flags & 1) count = layout.cpus
    if (count === 0) return null
    let size = Math.floor(total / count)
    if ((kind === 'dmesg' || kind === 'ftrace') && size % 2) size--
    for (let index = 0; index < count; index++) {
      if (dataLength(size, layout.ecc) <= 0) return null
      zones.push({ kind, index, offset, size })
      offset += size
    }
  }
  return zones.length ? zones : null
}

/** 1.6: blocks with parity, and bytes of the ring. */
const blockCount = (size: number, ecc: number): number =>
  ecc ? Math.max(0, Math.ceil((size - 12 - ecc) / (128 + ecc))) : 0
export const dataLength = (size: number, ecc: number): number =>
  size - 12 - (ecc ? (blockCount(size, ecc) + 1) * ecc : 0)

const u32 = (bytes: Buffer, at: number, { endian }: ModelLayout): number =>
  endian === 'big' ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)
const u64 = (bytes: Buffer, at: number, { endian }: ModelLayout): bigint =>
  endian === 'big' ? bytes.readBigUInt64BE(at) : bytes.readBigUInt64LE(at)

/** Parity on the media, block by block and the header's last. */
export const addParity = (zone: Buffer, ecc: number): void => {
  const length = dataLength(zone.length, ecc)
  const blocks = blockCount(zone.length, ecc)
  for (let block = 0; block < blocks; block++) {
    const data = zone.subarray(12 + block * 128, 12 + Math.min(length, (block + 1) * 128))
    parityOf(data, ecc).copy(zone, 12 + length + block * ecc)
  }
  parityOf(zone.subarray(0, 12), ecc).copy(zone, 12 + length + blocks * ecc)
}

interface Content {
  bytes: Buffer
  corrected: number
  bad: number
}

/** 1.3 and 1.6: a zone's content, oldest byte first; empty where there is none. */
const contentOf = (zone: Buffer, kind: Kind, layout: ModelLayout): Content => {
  const { ecc } = layout
  const length = dataLength(zone.length, ecc)
  const blocks = blockCount(zone.length, ecc)
  const count = { corrected: 0, bad: 0 }
  const mended = (at: number, n: number, parityAt: number): Buffer => {
    const data = zone.subarray(at, at + n)
    if (ecc === 0) return data
    const result = correct(data, zone.subarray(parityAt, parityAt + ecc))
    if (result.errors < 0) count.bad++
    else count.corrected += result.errors
    return Buffer.from(result.data)
  }
  const header = mended(0, 12, 12 + length + blocks * ecc)
  const signature = (u32(header, 0, layout) ^ 0x43474244) >>> 0
  const start = u32(header, 4, layout)
  const size = u32(header, 8, layout)
  // A version's code is its three numbers, a byte each; there was no pstore before Linux 2.
  const signed =
    kind === 'ftrace' ? signature >= 0x020000 && signature <= 0xffffff : signature === 0
  const none = { bytes: Buffer.alloc(0), ...count }
  if (!signed || size > length || start > size) return none
  const data: Buffer[] = []
  for (let block = 0; block * 128 < size; block++) {
    const n = Math.min(128, length - block * 128)
    data.push(mended(12 + block * 128, n, 12 + length + block * ecc))
  }
  const ring = Buffer.concat(data).subarray(0, size)
  return { bytes: Buffer.concat([ring.subarray(start), ring.subarray(0, start)]), ...count }
}

/** 1.6: the line after each text. */
const noticeOf = (contents: Content[], { ecc }: ModelLayout): string => {
  if (ecc === 0) return ''
  const corrected = contents.reduce((sum, c) => sum + c.corrected, 0)
  const bad = contents.reduce((sum, c) => sum + c.bad, 0)
  return corrected || bad
    ? `\nECC: ${corrected} Corrected bytes, ${bad} unrecoverable blocks\n`
    : '\nECC: No errors detected\n'
}

/** 1.7: `====%lld.%lu-%c\n`, or without `-%c`; `\n` is any white space, also none. */
const dumpLine = /^====[\s]*(-?\d+)\.[\s]*(\d+)(?:-([^\0]))?[\s]*/

/** A dump's file; null where there is none. */
const dumpFile = (
  content: Content,
  id: number,
  limit: number,
  layout: ModelLayout,
): ModelFile | null => {
  const found = dumpLine.exec(content.bytes.toString('latin1'))
  if (!found) return null
  const [line, seconds, fraction, type] = found
  const body = content.bytes.subarray(line.length)
  if (body.length === 0) return null
  let text: Buffer | null = body
  if (type === 'C')
    try {
      text = zlib.inflateRawSync(body, { maxOutputLength: limit })
    } catch {
      text = null
    }
  const bytes = Buffer.concat([text ?? body, Buffer.from(noticeOf([content], layout))])
  const sec = BigInt.asIntN(64, BigInt(seconds))
  const nsec = Number(BigInt.asUintN(32, BigInt(fraction) * 1000n))
  return {
    name: `dmesg-ramoops-${id}${text ? '' : '.enc.z'}`,
    size: bytes.length,
    time: sec === 0n ? null : { sec, nsec },
    bytes,
  }
}

interface Call {
  cpu: number
  time: bigint
  ip: bigint
  parent: bigint
}

/** 1.9: 24 bytes each; what does not divide is lost in front. */
const callsOf = ({ bytes }: Content, layout: ModelLayout): Call[] => {
  const calls: Call[] = []
  for (let at = bytes.length % 24; at < bytes.length; at += 24) {
    const stamp = u64(bytes, at + 16, layout)
    const cpu = Number(stamp & 0xffn)
    calls.push({
      cpu,
      time: stamp >> 8n,
      ip: u64(bytes, at, layout),
      parent: u64(bytes, at + 8, layout),
    })
  }
  return calls
}

/** As Linux merges: all that came before with the next CPU's, the next one first where equally old. */
const merge = (before: Call[], next: Call[]): Call[] => {
  const merged: Call[] = []
  let i = 0
  let j = 0
  while (i < before.length && j < next.length)
    merged.push(before[i].time < next[j].time ? before[i++] : next[j++])
  return [...merged, ...before.slice(i), ...next.slice(j)]
}

const hex = (n: bigint): string => n.toString(16)

const ftraceFile = (contents: Content[], layout: ModelLayout): ModelFile | null => {
  const filled = contents.filter(({ bytes }) => bytes.length > 0)
  if (filled.length === 0) return null
  const calls = filled.map(content => callsOf(content, layout)).reduce(merge, [])
  // One zone for all CPUs is not merged, and counts as it is.
  const size = layout.flags & 1 ? 24 * calls.length : filled[0].bytes.length
  if (size === 0) return null
  const lines = calls.map(
    ({ cpu, time, ip, parent }) =>
      `CPU:${cpu} ts:${time} ${hex(ip).padStart(8, '0')}  ${hex(parent).padStart(8, '0')}  0x${hex(ip)} <- 0x${hex(parent)}\n`,
  )
  const notice = noticeOf(filled, layout)
  return {
    name: 'ftrace-ramoops-0',
    size: size + notice.length,
    time: null,
    bytes: Buffer.from(lines.join('') + notice),
  }
}

/** 2: the files, in the order in which Linux enumerates them. */
export const filesOf = (region: Buffer, layout: ModelLayout): ModelFile[] => {
  const contents = zonesOf(layout)!.map(zone => ({
    ...zone,
    content: contentOf(
      Buffer.from(region.subarray(zone.offset, zone.offset + zone.size)),
      zone.kind,
      layout,
    ),
  }))
  const of = (kind: Kind): typeof contents => contents.filter(zone => zone.kind === kind)
  const ringFile = (kind: Kind): (ModelFile | null)[] =>
    of(kind).map(({ content }) => {
      if (content.bytes.length === 0) return null
      const bytes = Buffer.concat([content.bytes, Buffer.from(noticeOf([content], layout))])
      return { name: `${kind}-ramoops-0`, size: bytes.length, time: null, bytes }
    })
  const dumps = of('dmesg')
  const limit = dumps.length ? 3 * dataLength(dumps[0].size, layout.ecc) : 0
  return [
    ...dumps.map(({ index, content }) => dumpFile(content, index, limit, layout)),
    ...ringFile('console'),
    ...ringFile('pmsg'),
    ...ringFile('tty'),
    ftraceFile(
      of('ftrace').map(({ content }) => content),
      layout,
    ),
  ].filter(file => file !== null)
}
