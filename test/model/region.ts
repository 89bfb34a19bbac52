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
import { isNear, isSomething } from './remains.js'

export type Kind = 'dmesg' | 'console' | 'pmsg' | 'tty' | 'ftrace' | 'boot-log'

/** 1.2: whose arithmetic makes the zones. */
type Rules = 'shared' | 'before 6.8' | 'before 4.10' | '3.x' | 'before 3.10' | '3.4' | 'rockchip'

const isBefore410 = (rules: Rules): boolean => !['shared', 'before 6.8', 'rockchip'].includes(rules)
const rounds3x = (rules: Rules): boolean => rules === '3.x' || rules === 'before 3.10'

export interface ModelLayout {
  mem_size: number
  record_size: number
  console_size: number
  ftrace_size: number
  pmsg_size: number
  tty_size: number
  /** Default: 0, and 1. */
  boot_log_size?: number
  boot_log_count?: number
  ecc: number
  flags: number
  cpus: number
  order: Kind[]
  endian: 'little' | 'big'
  /** What the kernel that wrote it calls the tty zone. Default: that. */
  tty?: string
  /** Default: 'shared'. */
  rules?: Rules
}

export const presetNames = [
  'linux-6.2',
  'linux-pre-6.8',
  'linux-pre-6.2',
  'linux-4.10',
  'linux-pre-4.10',
  'linux-3.x',
  'linux-pre-3.10',
  'linux-3.4',
  'anolis',
  'crosvm',
  'crosvm-pre-6.2',
  'rockchip',
] as const

const rulesOf: { readonly [preset: string]: Rules } = {
  'linux-pre-6.8': 'before 6.8',
  'linux-4.10': 'before 6.8',
  'linux-pre-4.10': 'before 4.10',
  'linux-3.x': '3.x',
  'linux-pre-3.10': 'before 3.10',
  'linux-3.4': '3.4',
  rockchip: 'rockchip',
}

/** What a user may say of a region. */
export type ModelOptions = Partial<Omit<ModelLayout, 'tty' | 'rules'>> & {
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
  const rules = rulesOf[preset] ?? 'shared'
  let [record, console, ftrace, pmsg, boot] = [4096, 4096, 4096, 4096, 0]
  if (preset.startsWith('crosvm')) [record, console] = [quarter, quarter]
  if (rounds3x(rules)) pmsg = 0
  if (rules === '3.4') [record, console, ftrace, pmsg] = [0, mem_size, 0, 0]
  if (rules === 'rockchip')
    [record, console, ftrace, pmsg, boot] = [0x14000, 0x80000, 0, 0x30000, 0x8000]
  const isOld = isBefore410(rules)
  let order: Kind[] = ['dmesg', 'console', 'pmsg', 'tty', 'ftrace']
  if (['anolis', 'linux-pre-6.2', 'linux-4.10', 'crosvm-pre-6.2'].includes(preset))
    order = ['dmesg', 'console', 'ftrace', 'pmsg', 'tty']
  if (isOld) order = ['dmesg', 'console', 'ftrace', 'pmsg']
  if (rules === 'rockchip') order = ['boot-log', 'dmesg', 'console', 'pmsg', 'ftrace']
  return {
    mem_size,
    record_size: options.record_size ?? record,
    console_size: options.console_size ?? console,
    ftrace_size: options.ftrace_size ?? ftrace,
    pmsg_size: options.pmsg_size ?? pmsg,
    tty_size: options.tty_size ?? 0,
    boot_log_size: options.boot_log_size ?? boot,
    boot_log_count: options.boot_log_count ?? 1,
    ecc: options.ecc === 1 ? 16 : (options.ecc ?? 0),
    // Before 4.10 CPUs shared one ftrace zone, whatever anybody says.
    flags: isOld ? 0 : (options.flags ?? (rules === 'rockchip' ? 0 : 1)),
    cpus: options.cpus ?? 1,
    order: options.order ?? order,
    rules,
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
  const { rules = 'shared' } = layout
  const isOld = isBefore410(rules)
  const sizeOf = (size: number): number =>
    rules === '3.4' || rules === 'rockchip' ? size : roundDown(size)
  const has = (kind: Kind, size: number): number => (layout.order.includes(kind) ? sizeOf(size) : 0)
  const record = sizeOf(layout.record_size)
  const sizes = {
    console: has('console', layout.console_size),
    pmsg: has('pmsg', layout.pmsg_size),
    tty: has('tty', layout.tty_size),
    ftrace: has('ftrace', layout.ftrace_size),
    'boot-log': has('boot-log', layout.boot_log_size ?? 0),
  }
  const memory = rounds3x(rules) ? roundDown(layout.mem_size) : layout.mem_size
  const rings = sizes.console + sizes.pmsg + sizes.tty + sizes.ftrace + sizes['boot-log']
  const dumps = memory - rings
  // 1.6: a block and its parity must fit into 255 symbols.
  if ((dumps < 0 && record) || rings > memory || memory === 0 || layout.ecc > 127) return null
  const zones: ModelZone[] = []
  let offset = 0
  for (const kind of layout.order) {
    const total = kind === 'dmesg' ? (record ? dumps : 0) : sizes[kind]
    // Before 4.10 a region whose rings leave no dump is refused.
    if (kind === 'dmesg' && isOld && record && dumps < record) return null
    if (total === 0) continue
    let count = 1
    if (kind === 'dmesg') count = Math.floor(total / record)
    if (kind === 'ftrace' && layout.flags & 1) count = layout.cpus
    if (kind === 'boot-log') count = layout.boot_log_count ?? 1
    if (count === 0 && kind === 'boot-log') continue
    if (count === 0) return null
    let size = Math.floor(total / count)
    if (kind === 'dmesg' && isOld) size = record
    const isArray = kind === 'dmesg' || kind === 'ftrace' || kind === 'boot-log'
    if (isArray && !isOld && rules !== 'before 6.8' && size % 2) size--
    for (let index = 0; index < count; index++) {
      if (dataLength(size, layout.ecc, rules) <= 0) return null
      zones.push({ kind, index, offset, size })
      offset += size
    }
  }
  return zones.length ? zones : null
}

/** 1.6: blocks with parity, and bytes of the ring. */
const blockCount = (size: number, ecc: number, rules: Rules = 'shared'): number => {
  if (ecc === 0) return 0
  // Before 3.10 nobody thought of the room that parity takes itself.
  if (rules === '3.4' || rules === 'before 3.10') return Math.ceil((size - 12) / 128)
  return Math.max(0, Math.ceil((size - 12 - ecc) / (128 + ecc)))
}
export const dataLength = (size: number, ecc: number, rules: Rules = 'shared'): number =>
  size - 12 - (ecc ? (blockCount(size, ecc, rules) + 1) * ecc : 0)

const u32 = (bytes: Buffer, at: number, { endian }: ModelLayout): number =>
  endian === 'big' ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)
/** Parity on the media, block by block and the header's last. */
export const addParity = (zone: Buffer, ecc: number, rules?: Rules): void => {
  const length = dataLength(zone.length, ecc, rules)
  const blocks = blockCount(zone.length, ecc, rules)
  for (let block = 0; block * 128 < length; block++) {
    const data = zone.subarray(12 + block * 128, 12 + Math.min(length, (block + 1) * 128))
    parityOf(data, ecc).copy(zone, 12 + length + block * ecc)
  }
  parityOf(zone.subarray(0, 12), ecc).copy(zone, 12 + length + blocks * ecc)
}

interface Content {
  state: ModelPlace['state']
  bytes: Buffer
  /** The version that signs it. */
  kernel: number
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

const codeOf = (header: Buffer, layout: ModelLayout): number =>
  (u32(header, 0, layout) ^ 0x43474244) >>> 0

/** A version's code is its three numbers, a byte each: 2.6.35 and later 2.6, or 3.0 to 8.40. */
const isVersion = (code: number): boolean => {
  const [, major = 0, minor = 0, patch = 0] = [24, 16, 8, 0].map(shift => (code >>> shift) & 255)
  if (code > 0xffffff) return false
  return major === 2 ? minor === 6 && patch >= 35 : major >= 3 && major <= 8 && minor <= 40
}

/** 1.3: is this how a zone of that kind is signed? */
const isSigned = (header: Buffer, kind: Kind, layout: ModelLayout): boolean => {
  const code = codeOf(header, layout)
  return kind === 'ftrace' ? isVersion(code) : code === 0
}

/** 1.10: is this the damaged header of a zone, or one of another kind's? */
const isDamaged = (header: Buffer, kind: Kind, length: number, layout: ModelLayout): boolean => {
  const code = codeOf(header, layout)
  const start = u32(header, 4, layout)
  const size = u32(header, 8, layout)
  const isPossible = size > 0 && size <= length && start <= size
  if (kind === 'ftrace') return isPossible && (code === 0 || isNear(code, isVersion))
  return isNear(code, value => value === 0) || (isPossible && isVersion(code))
}

/** 1.10: does a zone hold something, though its header tells of nothing? */
const hidesSomething = (zone: Buffer, kind: Kind, layout: ModelLayout): boolean => {
  const length = dataLength(zone.length, layout.ecc)
  const blocks: Buffer[] = []
  for (let at = 0, block = 0; at < length; at += 128, block++) {
    const parity = 12 + length + block * layout.ecc
    blocks.push(mended(zone, 12 + at, Math.min(128, length - at), parity, layout.ecc).data)
  }
  const data = Buffer.concat(blocks)
  const found = kind === 'dmesg' ? dumpLine.exec(data.toString('latin1')) : null
  const body = data.subarray(found?.[0].length ?? 0)
  return isSomething(
    kind,
    data,
    found && body.length ? { compressed: found[3] === 'C', body } : null,
  )
}

/** 1.6: the header is corrected before it is believed; its parity is a zone's last bytes. */
const headerOf = (zone: Buffer, { ecc }: ModelLayout): { data: Buffer; errors: number } =>
  mended(zone, 0, 12, zone.length - ecc, ecc)

/** 1.3 and 1.6: a zone's content, oldest byte first; empty where there is none. */
const contentOf = (zone: Buffer, kind: Kind, layout: ModelLayout): Content => {
  const { ecc } = layout
  const length = dataLength(zone.length, ecc, layout.rules)
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
    kernel: (u32(header.data, 0, layout) ^ 0x43474244) >>> 0,
    corrected: pieces.reduce((sum, { errors }) => sum + Math.max(0, errors), 0),
    bad: pieces.filter(({ errors }) => errors < 0).length,
  })
  // A header that cannot be corrected is damage, whatever is behind it.
  const isLost = (): boolean => header.errors >= 0 && hidesSomething(zone, kind, layout)
  if (!isSigned(header.data, kind, layout))
    return content(
      isDamaged(header.data, kind, length, layout) || isLost() ? 'damaged' : 'unsigned',
    )
  if (size > length || start > size) return content('damaged')
  for (let block = 0; block * 128 < size; block++) {
    const n = Math.min(128, length - block * 128)
    pieces.push(mended(zone, 12 + block * 128, n, 12 + length + block * ecc, ecc))
  }
  return content(size ? 'sound' : isLost() ? 'erased' : 'empty')
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
  const { size: merged, text } = ftraceText(filled, layout.endian)
  // One zone for all CPUs is not merged, and counts as it is.
  const size = layout.flags & 1 ? merged : filled[0].bytes.length
  if (size === 0) return null
  // The notice counts, and is not shown (fixtures/README.md, where pstorefs is better on purpose).
  return {
    name: 'ftrace-ramoops-0',
    size: size + noticeOf(filled, layout).length,
    time: null,
    bytes: Buffer.from(text),
  }
}

/** 2: the files, in the order in which Linux enumerates them, and the zones as they lie there. */
export const readRegion = (region: Buffer, layout: ModelLayout): Model => {
  const labelOf = (kind: Kind): string => (kind === 'tty' ? (layout.tty ?? kind) : kind)
  const all = zonesOf(layout)!
  const first = all.find(({ kind }) => kind === 'dmesg')
  const limit = first ? 3 * dataLength(first.size, layout.ecc, layout.rules) : 0
  const zones = all.map(({ kind, index, offset, size }) => {
    const bytes = Buffer.from(region.subarray(offset, offset + size))
    const content = contentOf(bytes, kind, layout)
    const dump = kind === 'dmesg' ? dumpOf(content, index, limit, layout) : null
    return { kind, index, content, dump }
  })
  const of = (kind: Kind): typeof zones => zones.filter(zone => zone.kind === kind)
  const ringFile = (kind: Kind): (ModelFile | null)[] =>
    of(kind).map(({ content, index }) => {
      if (content.bytes.length === 0) return null
      const bytes = Buffer.concat([content.bytes, Buffer.from(noticeOf([content], layout))])
      return { name: `${labelOf(kind)}-ramoops-${index}`, size: bytes.length, time: null, bytes }
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
    ...ringFile('boot-log'),
  ].filter(file => file !== null)
  const places = zones.map(({ kind, index, content, dump }) => {
    const name = `${labelOf(kind)}-ramoops-${kind === 'ftrace' ? 0 : index}`
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
  const [, label, id] = /^([\w-]+)-ramoops-(\d+)/.exec(name)!
  const kind = label === (layout.tty ?? 'tty') ? 'tty' : label
  for (const { offset, size, ...zone } of zonesOf(layout)!) {
    if (zone.kind !== kind || (kind !== 'ftrace' && zone.index !== Number(id))) continue
    const bytes = after.subarray(offset, offset + size)
    const header = Buffer.from(headerOf(bytes, layout).data)
    if (!isSigned(header, zone.kind, layout)) continue
    header.fill(0, 4).copy(bytes)
    if (layout.ecc) parityOf(header, layout.ecc).copy(bytes, size - layout.ecc)
  }
  return after
}
