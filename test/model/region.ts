/**
 * What Linux shows of a ramoops region, the slow way: doc/formats.md 1 and 2, read a second time for
 * tests, one sentence after the other. It shares nothing with the reading in src/ but zlib.
 */
import {
  dumpFile,
  expand,
  stemOf,
  unrolled,
  type Model,
  type ModelFile,
  type ModelPlace,
} from './file.js'
import { ftraceText } from './ftrace.js'
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
  /** What the kernel that wrote it calls the tty zone. Default: that. */
  tty?: string
}

export const presetNames = ['linux-6.2', 'linux-pre-6.2', 'anolis', 'crosvm'] as const

/** What a user may say of a region. */
export type ModelOptions = Partial<Omit<ModelLayout, 'tty'>> & {
  preset?: (typeof presetNames)[number]
}

export interface ModelZone {
  kind: Kind
  index: number
  offset: number
  size: number
}

/** 1.1 and 1.2: a preset's order and sizes, and Linux's defaults for what nobody said. */
export const layoutOf = (options: ModelOptions, length: number): ModelLayout => {
  const { preset = 'linux-6.2' } = options
  const mem_size = options.mem_size ?? length
  const quarter = Math.floor(mem_size / 4)
  const { record_size, console_size } =
    preset === 'crosvm'
      ? { record_size: quarter, console_size: quarter }
      : { record_size: 4096, console_size: 4096 }
  return {
    mem_size,
    record_size: options.record_size ?? record_size,
    console_size: options.console_size ?? console_size,
    ftrace_size: options.ftrace_size ?? 4096,
    pmsg_size: options.pmsg_size ?? 4096,
    tty_size: options.tty_size ?? 0,
    ecc: options.ecc === 1 ? 16 : (options.ecc ?? 0),
    flags: options.flags ?? 1,
    cpus: options.cpus ?? 1,
    order:
      options.order ??
      (preset === 'anolis' || preset === 'linux-pre-6.2'
        ? ['dmesg', 'console', 'ftrace', 'pmsg', 'tty']
        : ['dmesg', 'console', 'pmsg', 'tty', 'ftrace']),
    endian: options.endian ?? 'little',
    tty: preset === 'anolis' ? 'ttyprobe' : 'tty',
  }
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
  // 1.6: a block and its parity must fit into 255 symbols.
  if (dumps < 0 || layout.mem_size === 0 || layout.ecc > 127) return null
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
  state: ModelPlace['state']
  bytes: Buffer
  corrected: number
  bad: number
}

/** 1.6: some bytes of a zone, corrected by the parity at a place of it. */
const mended = (
  zone: Buffer,
  at: number,
  length: number,
  parityAt: number,
  ecc: number,
): { data: Buffer; errors: number } => {
  const data = zone.subarray(at, at + length)
  if (ecc === 0) return { data, errors: 0 }
  const { data: right, errors } = correct(data, zone.subarray(parityAt, parityAt + ecc))
  return { data: Buffer.from(right), errors }
}

/** 1.3: is this how a zone of that kind is signed? */
const isSigned = (header: Buffer, kind: Kind, layout: ModelLayout): boolean => {
  const signature = (u32(header, 0, layout) ^ 0x43474244) >>> 0
  // A version's code is its three numbers, a byte each; there was no pstore before Linux 2.
  return kind === 'ftrace' ? signature >= 0x020000 && signature <= 0xffffff : signature === 0
}

/** 1.6: the header is corrected before it is believed. */
const headerOf = (zone: Buffer, { ecc }: ModelLayout): { data: Buffer; errors: number } =>
  mended(zone, 0, 12, zone.length - ecc, ecc)

/** 1.3 and 1.6: a zone's content, oldest byte first; empty where there is none. */
const contentOf = (zone: Buffer, kind: Kind, layout: ModelLayout): Content => {
  const { ecc } = layout
  const length = dataLength(zone.length, ecc)
  const header = headerOf(zone, layout)
  const start = u32(header.data, 4, layout)
  const size = u32(header.data, 8, layout)
  const pieces = [header]
  const content = (state: Content['state']): Content => ({
    // A header that cannot be corrected may have been any zone's.
    state: pieces.some(({ errors }) => errors < 0) ? 'damaged' : state,
    bytes: unrolled(
      Buffer.concat(pieces.slice(1).map(({ data }) => data)).subarray(0, size),
      start,
    ),
    corrected: pieces.reduce((sum, { errors }) => sum + Math.max(0, errors), 0),
    bad: pieces.filter(({ errors }) => errors < 0).length,
  })
  if (!isSigned(header.data, kind, layout)) return content('unsigned')
  if (size > length || start > size) return content('damaged')
  for (let block = 0; block * 128 < size; block++) {
    const n = Math.min(128, length - block * 128)
    pieces.push(mended(zone, 12 + block * 128, n, 12 + length + block * ecc, ecc))
  }
  return content(size ? 'sound' : 'empty')
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

/** A dump's file, null where there is none; and whether all of it is there. */
const dumpOf = (
  content: Content,
  id: number,
  limit: number,
  layout: ModelLayout,
): { file: ModelFile | null; state: Content['state'] } => {
  const { state } = content
  if (content.bytes.length === 0) return { file: null, state }
  const found = dumpLine.exec(content.bytes.toString('latin1'))
  if (!found) return { file: null, state: 'damaged' }
  const [line, seconds, fraction, type] = found
  const body = content.bytes.subarray(line.length)
  const time = {
    sec: BigInt.asIntN(64, BigInt(seconds)),
    nsec: Number(BigInt.asUintN(32, BigInt(fraction) * 1000n)),
  }
  const text = type === 'C' ? expand(body, limit) : body
  const file = dumpFile(`dmesg-ramoops-${id}`, time, body, text, noticeOf([content], layout))
  return { file: body.length ? file : null, state: text ? state : 'damaged' }
}

const ftraceFile = (contents: Content[], layout: ModelLayout): ModelFile | null => {
  const filled = contents.filter(({ bytes }) => bytes.length > 0)
  if (filled.length === 0) return null
  const { count, text } = ftraceText(
    filled.map(({ bytes }) => bytes),
    layout.endian,
  )
  // One zone for all CPUs is not merged, and counts as it is.
  const size = layout.flags & 1 ? 24 * count : filled[0].bytes.length
  if (size === 0) return null
  const notice = noticeOf(filled, layout)
  return {
    name: 'ftrace-ramoops-0',
    size: size + notice.length,
    time: null,
    bytes: Buffer.from(text + notice),
  }
}

/** 2: the files, in the order in which Linux enumerates them, and the zones as they lie there. */
export const readRegion = (region: Buffer, layout: ModelLayout): Model => {
  const labelOf = (kind: Kind): string => (kind === 'tty' ? (layout.tty ?? kind) : kind)
  const all = zonesOf(layout)!
  const first = all.find(({ kind }) => kind === 'dmesg')
  const limit = first ? 3 * dataLength(first.size, layout.ecc) : 0
  const zones = all.map(({ kind, index, offset, size }) => {
    const bytes = Buffer.from(region.subarray(offset, offset + size))
    const content = contentOf(bytes, kind, layout)
    const dump = kind === 'dmesg' ? dumpOf(content, index, limit, layout) : null
    return { kind, index, content, dump }
  })
  const of = (kind: Kind): typeof zones => zones.filter(zone => zone.kind === kind)
  const ringFile = (kind: Kind): (ModelFile | null)[] =>
    of(kind).map(({ content }) => {
      if (content.bytes.length === 0) return null
      const bytes = Buffer.concat([content.bytes, Buffer.from(noticeOf([content], layout))])
      return { name: `${labelOf(kind)}-ramoops-0`, size: bytes.length, time: null, bytes }
    })
  const files = [
    ...of('dmesg').map(({ dump }) => dump!.file),
    ...ringFile('console'),
    ...ringFile('pmsg'),
    ...ringFile('tty'),
    ftraceFile(
      of('ftrace').map(({ content }) => content),
      layout,
    ),
  ].filter(file => file !== null)
  const places = zones.map(({ kind, index, content, dump }) => {
    const name = `${labelOf(kind)}-ramoops-${kind === 'dmesg' ? index : 0}`
    const shown = content.bytes.length ? files.find(file => stemOf(file.name) === name) : null
    return { name, state: dump?.state ?? content.state, record: shown?.name ?? null }
  })
  return { files, places }
}

/**
 * 1.5: the region once the zones of a file are erased; ftrace's all, where Linux erases the first.
 * Linux has corrected the headers by then; what is no zone stays as it is.
 */
export const eraseFile = (region: Buffer, layout: ModelLayout, name: string): Buffer => {
  const after = Buffer.from(region)
  const [, label, id] = /^(\w+)-ramoops-(\d+)/.exec(name)!
  const kind = label === (layout.tty ?? 'tty') ? 'tty' : label
  for (const { offset, size, ...zone } of zonesOf(layout)!) {
    if (zone.kind !== kind || (kind === 'dmesg' && zone.index !== Number(id))) continue
    const bytes = after.subarray(offset, offset + size)
    const header = Buffer.from(headerOf(bytes, layout).data)
    if (!isSigned(header, zone.kind, layout)) continue
    header.fill(0, 4).copy(bytes)
    if (layout.ecc) parityOf(header, layout.ecc).copy(bytes, size - layout.ecc)
  }
  return after
}
