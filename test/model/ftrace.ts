/** doc/formats.md 1.9 and 7.4, read a second time for tests: ftrace's records, merged and as text. */

type Endian = 'little' | 'big'

/** What one CPU left. */
export interface Ring {
  bytes: Buffer
  /** The version that signs it; 0: none. */
  kernel: number
}

interface Call {
  cpu: number
  time: bigint
  ip: bigint
  parent: bigint
}

/** A form of records: what lies where, the number of bytes, and how a record is read. */
interface Form {
  size: number
  wide: boolean
  read: (record: Numbers) => Call
  /** Could a record be one of this form? */
  fits: (record: Numbers) => boolean
}

/** A record's bytes as numbers. */
interface Numbers {
  u32: (at: number) => number
  u64: (at: number) => bigint
}

const numbersOf = (record: Buffer, endian: Endian): Numbers => ({
  u32: at => (endian === 'big' ? record.readUInt32BE(at) : record.readUInt32LE(at)),
  u64: at => (endian === 'big' ? record.readBigUInt64BE(at) : record.readBigUInt64LE(at)),
})

const narrowAddresses = ({ u32 }: Numbers): number =>
  [u32(0), u32(4)].filter(n => n >= 0x40000000 && n < 0xffff0000).length
const early = (time: bigint): boolean => time < 2n ** 48n
const narrow = ({ u32 }: Numbers): Pick<Call, 'ip' | 'parent'> => ({
  ip: BigInt(u32(0)),
  parent: BigInt(u32(4)),
})

const wide: Form = {
  size: 24,
  wide: true,
  read: ({ u64 }) => ({
    ip: u64(0),
    parent: u64(8),
    time: u64(16) >> 8n,
    cpu: Number(u64(16) & 0xffn),
  }),
  fits: ({ u64 }) => early(u64(16)),
}
const middle: Form = {
  size: 16,
  wide: false,
  read: r => ({ ...narrow(r), time: r.u64(8) >> 8n, cpu: Number(r.u64(8) & 0xffn) }),
  fits: r => early(r.u64(8)) && narrowAddresses(r) > 0,
}
const inAddress = (mask: number): Form => ({
  ...middle,
  read: r => ({ ...narrow(r), time: r.u64(8), cpu: r.u32(0) & mask }),
})
const oldWide: Form = {
  size: 24,
  wide: true,
  read: ({ u32, u64 }) => ({ ip: u64(0), parent: u64(8), time: 0n, cpu: u32(16) | 0 }),
  fits: ({ u32, u64 }) =>
    u32(16) < 8192 && u32(20) === 0 && [u64(0), u64(8)].some(n => n >= 2n ** 32n),
}
const oldMiddle: Form = {
  size: 12,
  wide: false,
  read: r => ({ ...narrow(r), time: 0n, cpu: r.u32(8) | 0 }),
  fits: r => r.u32(8) < 8192 && narrowAddresses(r) > 0,
}
const oldShort = (mask: number): Form => ({
  size: 8,
  wide: false,
  read: r => ({ ...narrow(r), time: 0n, cpu: r.u32(0) & mask }),
  fits: r => narrowAddresses(r) === 2,
})

/** A ring's records; what does not divide is lost in front. */
const recordsOf = (bytes: Buffer, { size }: Form, endian: Endian): Numbers[] => {
  const records: Numbers[] = []
  for (let end = bytes.length; end >= size; end -= size)
    records.unshift(numbersOf(bytes.subarray(end - size, end), endian))
  return records
}

/** 7.4: the form of a file's records. */
const formOf = (rings: Ring[], endian: Endian): Form => {
  const ends = rings.slice(0, 16).map(({ bytes, kernel }) => ({
    bytes: bytes.subarray(Math.max(0, bytes.length - 1536)),
    kernel,
  }))
  const isOld = ends.some(({ kernel }) => kernel !== 0 && kernel < 0x040a00)
  const forms = [...(isOld ? [oldWide, oldMiddle, oldShort(3)] : []), wide, middle]
  let best = { form: wide, score: 0 }
  for (const form of forms) {
    const lists = ends.map(({ bytes }) => recordsOf(bytes, form, endian))
    const all = lists.flat()
    const score = all.filter(form.fits).length / Math.max(1, all.length)
    const isShort = ends.every(({ bytes }) => bytes.length < 24)
    const isDoubtful =
      !form.wide &&
      isShort &&
      lists.some(([first]) => first !== undefined && narrowAddresses(first) < 2)
    // An old kernel's form, if there is one that fits, and else the others.
    const isLate = form === wide || form === middle
    if (isLate && best.score > 0 && best.form !== wide) continue
    if (score >= 0.75 && score > best.score && !isDoubtful) best = { form, score }
  }
  const { form } = best
  const lists = ends.map(({ bytes }) => recordsOf(bytes, form, endian))
  const parents = lists.flat().map(r => (form.wide ? 0 : r.u32(4) % 2))
  const mask = parents.filter(odd => odd === 1).length > parents.length / 2 ? 1 : 3
  if (form.size === 8) return oldShort(mask)
  if (form !== middle) return form
  // The CPU is in the time, unless that is counted on by less than what a CPU takes.
  let votes = 0
  for (const list of lists)
    list.slice(1).forEach((record, i) => {
      const [before, after] = [list[i].u64(8), record.u64(8)]
      if (before >> 32n !== after >> 32n) return
      votes += after >= before && after - before < 64n ? 1 : -1
    })
  return votes > 0 ? inAddress(mask) : middle
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

/** 7.5: what Linux 7.1 and later make of an address, where nothing was moved. */
const decoded = (address: bigint): bigint => address | (1n << 63n)

/** The lines of several CPUs' rings, without symbols, and the bytes of whole records. */
export const ftraceText = (rings: Ring[], endian: Endian): { size: number; text: string } => {
  const filled = rings.filter(({ bytes }) => bytes.length > 0)
  const form = formOf(filled, endian)
  // pstore_blk does not say which kernel it was: what is an address of a module without its top bit does.
  const lists = filled.map(({ bytes, kernel }) => ({
    kernel,
    calls: recordsOf(bytes, form, endian).map(form.read),
  }))
  const isShort = ({ ip, parent }: Call): boolean => [ip, parent].some(n => n >> 47n === 0xffffn)
  const isEncoded = lists.some(({ calls }) => calls.some(isShort))
  const decodedLists = lists.map(({ calls, kernel }) =>
    form.wide && (kernel >= 0x070100 || (kernel === 0 && isEncoded))
      ? calls.map(call => ({ ...call, ip: decoded(call.ip), parent: decoded(call.parent) }))
      : calls,
  )
  const calls =
    form.size === 24 || form.size === 16
      ? decodedLists.reduce(form === oldWide ? (a, b) => [...a, ...b] : merge, [])
      : decodedLists.flat()
  const lines = calls.map(
    ({ cpu, time, ip, parent }) =>
      `CPU:${cpu} ts:${time} ${hex(ip).padStart(8, '0')}  ${hex(parent).padStart(8, '0')}  0x${hex(ip)} <- 0x${hex(parent)}\n`,
  )
  return { size: form.size * calls.length, text: lines.join('') }
}
