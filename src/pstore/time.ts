/** Times as the media and stat(2) have them. */

/** Seconds and nanoseconds, unchecked (Linux does not check either). */
export interface Timespec {
  /** Seconds since 1970, a signed 64-bit number. */
  sec: bigint
  /** 0 … 2^32 − 1: a hostile header can name more than a second's worth. */
  nsec: number
}

/** The wall clock. */
export const now = (): Timespec => fromMs(Date.now())

/** From milliseconds since 1970. */
export const fromMs = (ms: number): Timespec => ({
  sec: BigInt(Math.floor(ms / 1000)),
  nsec: Math.floor(ms % 1000) * 1_000_000,
})

/** What {@link printTime} wrote; null for anything else. */
export const parseTime = (text: string): Timespec | null => {
  const [, sign, sec, nsec] = /^(-?)(\d{1,19})\.(\d{9})$/.exec(text) ?? []
  if (sec === undefined || nsec === undefined) return null
  const total = BigInt(sec) * 1_000_000_000n + BigInt(nsec)
  const signed = sign ? -total : total
  const whole = signed >= 0n ? signed / 1_000_000_000n : (signed - 999_999_999n) / 1_000_000_000n
  return { sec: whole, nsec: Number(signed - whole * 1_000_000_000n) }
}

/** A time as `--json` and manifests have it: seconds with nine decimals; more than a second's nanoseconds are carried. */
export const printTime = ({ sec, nsec }: Timespec): string => {
  const total = sec * 1_000_000_000n + BigInt(nsec)
  const digits = String(total < 0n ? -total : total).padStart(10, '0')
  return `${total < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** `2026-11-23T04:05:06.123Z`; null where no calendar has the time. */
export const isoTime = ({ sec, nsec }: Timespec): string | null => {
  const date = new Date(Number(sec) * 1000 + Math.floor(nsec / 1e6))
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}
