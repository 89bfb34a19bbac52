/** doc/formats.md 1.9, read a second time for tests: ftrace's records, merged and as text. */

interface Call {
  cpu: number
  time: bigint
  ip: bigint
  parent: bigint
}

/** 24 bytes each; what does not divide is lost in front. */
const callsOf = (bytes: Buffer, endian: 'little' | 'big'): Call[] => {
  const u64 = (at: number): bigint =>
    endian === 'big' ? bytes.readBigUInt64BE(at) : bytes.readBigUInt64LE(at)
  const calls: Call[] = []
  for (let at = bytes.length % 24; at < bytes.length; at += 24) {
    const stamp = u64(at + 16)
    calls.push({
      cpu: Number(stamp & 0xffn),
      time: stamp >> 8n,
      ip: u64(at),
      parent: u64(at + 8),
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

/** The lines of several CPUs' rings, without symbols, and how many there are. */
export const ftraceText = (
  rings: Buffer[],
  endian: 'little' | 'big',
): { count: number; text: string } => {
  const calls = rings.map(ring => callsOf(ring, endian)).reduce(merge, [])
  const lines = calls.map(
    ({ cpu, time, ip, parent }) =>
      `CPU:${cpu} ts:${time} ${hex(ip).padStart(8, '0')}  ${hex(parent).padStart(8, '0')}  0x${hex(ip)} <- 0x${hex(parent)}\n`,
  )
  return { count: calls.length, text: lines.join('') }
}
