/**
 * /dev/kmsg's records as lines of the kernel's console.
 *
 * Source: kernel/printk/printk.c (info_print_ext_header and msg_add_ext_text write them, print_prefix and
 * record_print_text make the console's lines); Documentation/ABI/testing/dev-kmsg.
 */

/** One message of the kernel's log. */
export interface KernelMessage {
  /** 0 (emergency) … 7 (debug). */
  readonly level: number
  /** The message's number in the log. */
  readonly sequence: bigint
  /** Microseconds since the machine started. */
  readonly time: bigint
  /**
   * `whole`: a line; `first`: the first piece of a line, which pieces of kind `next` continue. Kernels since
   * 4.10 mark no pieces, and print each as a line.
   */
  readonly part: 'whole' | 'first' | 'next'
  /** The task or CPU that printed it, `T123` or `C0`; null where the kernel does not keep that. */
  readonly caller: string | null
  /** The printed text: any bytes, line feeds too. */
  readonly text: Buffer
}

const LF = 0x0a
const SEMICOLON = 0x3b
const BACKSLASH = 0x5c
/** `prefix,sequence,time,flags[,caller=T1]`; later kernels may add more. */
const header = /^(\d{1,10}),(\d{1,20}),(\d{1,20}),([^,;]*)(?:,(.*))?$/s
/** Bytes; the semicolon that ends a header lies within them, later ones belong to the text. */
const longestHeader = 256

/**
 * Parse the bytes of one read(2) of /dev/kmsg.
 *
 * @returns null where they are not a record
 */
export const parseMessage = (record: Buffer): KernelMessage | null => {
  const end = record.subarray(0, longestHeader).indexOf(SEMICOLON)
  const [, prefix, sequence = '', time = '', flags = '', more = ''] =
    header.exec(record.toString('latin1', 0, Math.max(end, 0))) ?? []
  if (prefix === undefined) return null
  // Lines of a dictionary follow the text: ` DEVICE=+pci:0000:00:1f.2`.
  const textEnd = record.indexOf(LF, end)
  return {
    level: Number(prefix) & 7,
    sequence: BigInt(sequence),
    time: BigInt(time),
    part: flags.includes('+') ? 'next' : flags.includes('c') ? 'first' : 'whole',
    caller: /(?:^|,)caller=([^,]{1,16})/.exec(more)?.[1] ?? null,
    text: decode(record.subarray(end + 1, textEnd < 0 ? record.length : textEnd)),
  }
}

/** A digit's value; -1 for anything else. */
const hexDigit = (byte: number): number =>
  '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase())

/** Undo `\xNN`, the escape of bytes that are not printable ASCII, and of the backslash. */
const decode = (text: Buffer): Buffer => {
  if (!text.includes(BACKSLASH)) return Buffer.from(text)
  const decoded = Buffer.allocUnsafe(text.length)
  let length = 0
  for (let at = 0; at < text.length; at++) {
    const high = at + 3 < text.length ? hexDigit(text[at + 2]!) : -1
    const low = at + 3 < text.length ? hexDigit(text[at + 3]!) : -1
    const escaped = text[at] === BACKSLASH && text[at + 1] === 0x78 && high >= 0 && low >= 0
    decoded[length++] = escaped ? high * 16 + low : text[at]!
    if (escaped) at += 3
  }
  return decoded.subarray(0, length)
}

/** The prefix of a line: `[    1.234567] `, or with a caller `[    1.234567][   T123] `. */
const prefixOf = ({ time, caller }: KernelMessage): string => {
  const seconds = String(time / 1_000_000n).padStart(5)
  const micros = String(time % 1_000_000n).padStart(6, '0')
  return `[${seconds}.${micros}]${caller === null ? '' : `[${caller.padStart(6)}]`} `
}

/** Renders the log's messages, in their order, as the console's text. */
export class KernelConsole {
  /** The next message's number if none is lost; null: any number. */
  #next: bigint | null
  /** True while the last line has no end, as the next message may be a piece of it. */
  #isOpen = false

  /**
   * @param loglevel messages of a lower level are printed, as the kernel's `loglevel=` has it
   * @param first the number of the first message to miss; null: the first message that comes is the first
   */
  constructor(
    readonly loglevel: number,
    first: bigint | null,
  ) {
    this.#next = first
  }

  /** The console's text for a message; empty where the loglevel hides it. */
  print(message: KernelMessage): Buffer {
    const { sequence, level, part, text } = message
    const parts: (string | Buffer)[] = []
    const lost = this.#next !== null && sequence > this.#next ? sequence - this.#next : 0n
    this.#next = sequence + 1n
    if (lost) parts.push(this.end(), `** ${lost} printk messages dropped **\n`)
    if (level < this.loglevel) {
      const goesOn = part === 'next' && this.#isOpen
      if (!goesOn) parts.push(this.end())
      const prefix = prefixOf(message)
      for (let at = 0; at <= text.length;) {
        const end = text.indexOf(LF, at)
        const next = end < 0 ? text.length : end
        if (at > 0) parts.push('\n')
        if (at > 0 || !goesOn) parts.push(prefix)
        parts.push(text.subarray(at, next))
        at = next + 1
      }
      this.#isOpen = part !== 'whole'
      if (!this.#isOpen) parts.push('\n')
    }
    return Buffer.concat(parts.map(piece => Buffer.from(piece)))
  }

  /** End an unfinished line. */
  end(): Buffer {
    const end = Buffer.from(this.#isOpen ? '\n' : '')
    this.#isOpen = false
    return end
  }
}
