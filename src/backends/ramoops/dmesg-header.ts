/**
 * The line before a dump's text in a dmesg zone: `====SECONDS.MICROSECONDS-C\n`.
 *
 * Source: fs/pstore/ram.c (ramoops_read_kmsg_hdr, ramoops_write_kmsg_hdr), which reads it with
 * sscanf: `====%lld.%lu-%c\n%n`, then `====%lld.%lu\n%n`. Odd headers are read as sscanf reads them
 * (test/fixtures/dmesg-header-variants).
 */
import { isSpace } from '../../pstore/codecs/deflate.js'
import type { Timespec } from '../../pstore/time.js'

export interface DmesgHeader {
  time: Timespec
  /** True for type `C`; any other letter, or none, means plain text. */
  compressed: boolean
  /** Bytes before the body: the line, and the blanks that `\n` in the format skips. */
  length: number
}

const magic = '===='
const isDigit = (c: number): boolean => c >= 0x30 && c <= 0x39
/** sscanf's cursor over bytes; the content's end reads as NUL. */
class Scanner {
  pos = 0
  constructor(readonly bytes: Uint8Array) {}
  peek(): number {
    return this.bytes[this.pos] ?? 0
  }
  /** `\n` or a blank in a format: any run of white space, or none. */
  skipSpace(): void {
    while (isSpace(this.peek())) this.pos++
  }
  literal(text: string): boolean {
    for (let i = 0; i < text.length; i++, this.pos++)
      if (this.peek() !== text.charCodeAt(i)) return false
    return true
  }
  /** A decimal number modulo 2^64, after optional blanks; null where there is none. */
  number(signed: boolean): bigint | null {
    this.skipSpace()
    const negative = signed && this.peek() === 0x2d
    if (negative) this.pos++
    if (!isDigit(this.peek())) return null
    let value = 0n
    while (isDigit(this.peek()))
      value = BigInt.asUintN(64, value * 10n + BigInt(this.bytes[this.pos++]! - 0x30))
    return negative ? -value : value
  }
}

/**
 * Parse the header at the start of a zone's content.
 *
 * @param content a zone's content, oldest byte first; only its first bytes are looked at
 * @returns null where Linux finds no header: then there is no record
 */
export const decodeDmesgHeader = (content: Uint8Array): DmesgHeader | null => {
  const scan = new Scanner(content)
  if (!scan.literal(magic)) return null
  const seconds = scan.number(true)
  if (seconds === null || !scan.literal('.')) return null
  const fraction = scan.number(false)
  if (fraction === null) return null
  const time: Timespec = {
    sec: BigInt.asIntN(64, seconds),
    // The kernel multiplies an unsigned long by 1000 into tv_nsec; stat(2) shows its lower half.
    nsec: Number(BigInt.asUintN(32, fraction * 1000n)),
  }
  let compressed = false
  // `-%c` matches any one byte but the string's end, even a line feed.
  if (scan.peek() === 0x2d && scan.pos + 1 < content.length && content[scan.pos + 1] !== 0) {
    compressed = content[scan.pos + 1] === 0x43
    scan.pos += 2
  }
  scan.skipSpace()
  return { time, compressed, length: scan.pos }
}

/** The header line of a dump, as Linux writes it: microseconds, and always a type. */
export const encodeDmesgHeader = ({ sec, nsec }: Timespec, compressed: boolean): string =>
  `${magic}${sec}.${String(Math.floor(nsec / 1000)).padStart(6, '0')}-${compressed ? 'C' : 'D'}\n`
