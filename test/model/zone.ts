/**
 * What Linux shows of a pstore/zone store, the slow way: doc/formats.md 2 and 3, read a second time for
 * tests, one sentence after the other. It shares nothing with the reading in src/ but zlib.
 */
import {
  dumpFile,
  expand,
  stemOf,
  typeNames,
  unrolled,
  type Model,
  type ModelFile,
  type ModelPlace,
} from './file.js'
import { ftraceText } from './ftrace.js'
import { isNear, isSomething } from './remains.js'

type Kind = 'dmesg' | 'console' | 'pmsg' | 'tty' | 'ftrace'

export interface ZoneLayout {
  mem_size: number
  kmsg_size: number
  pmsg_size: number
  console_size: number
  ftrace_size: number
  tty_size: number
  cpus: number
  endian: 'little' | 'big'
}

export interface ModelZone {
  kind: Kind
  index: number
  offset: number
  size: number
}

/** 3: the zones, without gaps; null where the layout is not one that a kernel would take. */
export const zonesOf = (layout: ZoneLayout): ModelZone[] | null => {
  const { kmsg_size, pmsg_size, console_size, ftrace_size, tty_size, cpus } = layout
  const sizes = [kmsg_size, pmsg_size, console_size, ftrace_size, tty_size]
  const rings = pmsg_size + console_size + tty_size + ftrace_size
  const total = Math.min(layout.mem_size, 128 * 1024 * 1024)
  if (total === 0 || total % 4096 || sizes.some(size => size % 512)) return null
  if (sizes.every(size => size === 0) || rings > total) return null
  const zones: ModelZone[] = []
  let offset = 0
  const add = (kind: Kind, size: number, count: number): void => {
    for (let index = 0; index < count; index++, offset += size)
      zones.push({ kind, index, offset, size })
  }
  if (pmsg_size) add('pmsg', pmsg_size, 1)
  if (console_size) add('console', console_size, 1)
  if (tty_size) add('tty', tty_size, 1)
  const share = Math.floor(ftrace_size / cpus)
  // Linux makes as many as fit, and a header must fit into each.
  if (share && share <= 12) return null
  if (share) add('ftrace', share, Math.floor(ftrace_size / share))
  const dumps = Math.floor((total - rings) / kmsg_size)
  if (kmsg_size && dumps === 0) return null
  if (kmsg_size) add('dmesg', kmsg_size, dumps)
  return zones
}

const u32 = (bytes: Buffer, at: number, { endian }: ZoneLayout): number =>
  endian === 'big' ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)

/** A zone's content, oldest byte first, and whether it has one. */
interface Content {
  state: ModelPlace['state']
  bytes: Buffer
}

/** pstorefs(8): the tty ring has the plain signature; the posted series xors its number in. */
const isSigned = (zone: Buffer, kind: Kind, layout: ZoneLayout): boolean => {
  const type = (u32(zone, 0, layout) ^ 0x43474244) >>> 0
  return type === typeNames.indexOf(kind) || (kind === 'tty' && type === 0)
}

/** 1.10: does a zone hold something, though its header tells of nothing? */
const hidesSomething = (zone: Buffer, kind: Kind, layout: ZoneLayout): boolean => {
  const data = zone.subarray(12)
  const isDump = kind === 'dmesg' && data.length >= 40 && u32(data, 0, layout) === 0x4dfc3ae5
  const compressed = data[24] !== 0
  // A plain one has a line of its own.
  const body = compressed ? data.subarray(40) : Buffer.from('Total')
  return isSomething(kind, data, isDump && body.length ? { compressed, body } : null)
}

const contentOf = (zone: Buffer, kind: Kind, layout: ZoneLayout): Content => {
  const sig = u32(zone, 0, layout)
  const datalen = u32(zone, 4, layout)
  // A dump is no ring: nobody looks at its start.
  const start = kind === 'dmesg' ? 0 : u32(zone, 8, layout)
  const type = (sig ^ 0x43474244) >>> 0
  const none = (state: Content['state']): Content => ({ state, bytes: Buffer.alloc(0) })
  const isPossible = datalen > 0 && datalen <= zone.length - 12 && start <= datalen
  const isLost = (): boolean => hidesSomething(zone, kind, layout)
  // 1.10: a few bits off, or another kind's.
  const isDamaged =
    isNear(type, value => value === typeNames.indexOf(kind)) ||
    (isPossible && [0, 2, 3, 7, 9].includes(type))
  if (!isSigned(zone, kind, layout)) return none(isDamaged || isLost() ? 'damaged' : 'unsigned')
  if (datalen === 0) return none(isLost() ? 'erased' : 'empty')
  if (datalen > zone.length - 12 || start > datalen) return none('damaged')
  return { state: 'sound', bytes: unrolled(zone.subarray(12, 12 + datalen), start) }
}

const reasons = ['Unknown', 'Panic', 'Oops', 'Emergency', 'Shutdown']

/** A dump's second header, as one kind of machine has it. */
interface Head {
  length: number
  sec: bigint
  nsec: number
  compressed: number
  counter: number
  reason: number
  /** How much of it is as no kernel writes it. */
  strange: number
}

/**
 * 3 and 7.6: the second header of a machine whose longs have 8 or 4 bytes, and whose 64-bit numbers lie
 * at multiples of 8 or 4. Fields follow each other as a C compiler places them.
 */
const headOf = (bytes: Buffer, long: 4 | 8, align: 4 | 8, layout: ZoneLayout): Head => {
  let at = 0
  let strange = 0
  const skipTo = (multiple: number): void => {
    const end = Math.ceil(at / multiple) * multiple
    if (bytes.subarray(at, end).some(Boolean)) strange++
    at = end
  }
  const take = (size: number): bigint => {
    const field = Buffer.from(bytes.subarray(at, at + size))
    if (layout.endian === 'little') field.reverse()
    at += size
    return BigInt(`0x${field.toString('hex')}`)
  }
  take(4)
  skipTo(align)
  const sec = BigInt.asIntN(64, take(8))
  const nsec = take(long)
  skipTo(align)
  const compressed = Number(take(1))
  skipTo(4)
  const counter = Number(take(4))
  const reason = Number(take(4))
  skipTo(align)
  if (sec < 0n || sec >= 2n ** 32n) strange++
  if (nsec >= 10n ** 9n) strange++
  if (compressed > 1) strange++
  if (reason > 4) strange++
  // stat(2) has room for 32 bits of the nanoseconds: the lower ones.
  return { length: at, sec, nsec: Number(nsec % 2n ** 32n), compressed, counter, reason, strange }
}

/** The header as the machine wrote it that it looks most like, 64 bits first; null where it is none. */
const likelyHead = (bytes: Buffer, layout: ZoneLayout): Head | null => {
  if (bytes.length < 28 || u32(bytes, 0, layout) !== 0x4dfc3ae5) return null
  const i386 = headOf(bytes, 4, 4, layout)
  if (bytes.length < 40) return i386.strange ? null : i386
  const all = [headOf(bytes, 8, 8, layout), headOf(bytes, 4, 8, layout), i386]
  const least = Math.min(...all.map(({ strange }) => strange))
  return all.find(({ strange }) => strange === least)!
}

/** A dump's file, null where there is none, and whether all of it is there. */
const dumpOf = (
  content: Content,
  { index, size }: ModelZone,
  layout: ZoneLayout,
): { file: ModelFile | null; state: Content['state'] } => {
  const { bytes, state } = content
  if (state !== 'sound') return { file: null, state }
  // The second header lies in the data, and so in what counts of it.
  const head = likelyHead(bytes, layout)
  if (!head) return { file: null, state: 'damaged' }
  const { sec, nsec } = head
  const body = bytes.subarray(head.length)
  const stem = `dmesg-pstore_blk-${index}`
  if (head.compressed === 0) {
    const line = Buffer.from(
      `${reasons[head.reason] ?? 'Unknown'}: Total ${head.counter | 0} times\n`,
    )
    const text = Buffer.concat([line, body])
    return { file: dumpFile(stem, { sec, nsec }, body, text), state }
  }
  // An empty record is no file (fixtures/README.md, where pstorefs is better on purpose).
  if (body.length === 0) return { file: null, state: 'damaged' }
  const text = expand(body, 3 * (size - 12 - head.length))
  return { file: dumpFile(stem, { sec, nsec }, body, text), state: text ? state : 'damaged' }
}

const ftraceFile = (contents: Content[], { endian }: ZoneLayout): ModelFile | null => {
  const rings = contents.map(({ bytes }) => ({ bytes, kernel: 0 }))
  const { size, text } = ftraceText(rings, endian)
  return size === 0
    ? null
    : {
        name: 'ftrace-pstore_blk-0',
        size,
        time: null,
        bytes: Buffer.from(text),
      }
}

/** 2: the files in the order in which Linux enumerates them, and the zones as they lie there. */
export const readZones = (store: Buffer, layout: ZoneLayout): Model => {
  const zones = zonesOf(layout)!.map(zone => {
    const bytes = store.subarray(zone.offset, zone.offset + zone.size)
    const content = contentOf(bytes, zone.kind, layout)
    const dump = zone.kind === 'dmesg' ? dumpOf(content, zone, layout) : null
    return { ...zone, content, dump }
  })
  const of = (kind: Kind): typeof zones => zones.filter(zone => zone.kind === kind)
  const ring = (kind: Kind): (ModelFile | null)[] =>
    of(kind).map(({ content: { bytes } }) =>
      bytes.length ? { name: `${kind}-pstore_blk-0`, size: bytes.length, time: null, bytes } : null,
    )
  const files = [
    ...of('dmesg').map(({ dump }) => dump!.file),
    ftraceFile(
      of('ftrace').map(({ content }) => content),
      layout,
    ),
    ...ring('pmsg'),
    ...ring('console'),
    ...ring('tty'),
  ].filter(file => file !== null)
  const places = zones.map(({ kind, index, content, dump }) => {
    const name = `${kind}-pstore_blk-${kind === 'dmesg' ? index : 0}`
    const shown = content.bytes.length ? files.find(file => stemOf(file.name) === name) : null
    return { name, state: dump?.state ?? content.state, record: shown?.name ?? null }
  })
  return { files, places }
}

/**
 * Erasing sets datalen to 0, and start with it, and writes the header only; ftrace's zones all, where
 * Linux erases the first. What is no zone stays as it is.
 */
export const eraseFile = (store: Buffer, layout: ZoneLayout, name: string): Buffer => {
  const after = Buffer.from(store)
  const [, kind, id] = /^(\w+)-pstore_blk-(\d+)/.exec(name)!
  for (const zone of zonesOf(layout)!) {
    if (zone.kind !== kind || (kind === 'dmesg' && zone.index !== Number(id))) continue
    const bytes = after.subarray(zone.offset, zone.offset + zone.size)
    if (isSigned(bytes, zone.kind, layout)) bytes.fill(0, 4, 12)
  }
  return after
}
