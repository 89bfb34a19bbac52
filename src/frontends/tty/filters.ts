/** Filters for a terminal's bytes on their way into a zone: stamp lines, strip escape sequences. */

/** Takes the stream's next bytes, cut anywhere, and returns the bytes to keep. */
export type Filter = (bytes: Buffer) => Buffer

const LF = 0x0a
const ESC = 0x1b

/** `[    1.234567] `, the format of the kernel's console. */
export const timestamp = (microseconds: bigint): string =>
  `[${String(microseconds / 1_000_000n).padStart(5)}.${String(microseconds % 1_000_000n).padStart(6, '0')}] `

/** Microseconds since the machine started: the clock of the kernel's own messages. */
export const uptime = (): bigint => process.hrtime.bigint() / 1000n

/** Put a time before each line: the arrival of its first byte. */
export const stamper = (clock: () => bigint = uptime): Filter => {
  let atStart = true
  return bytes => {
    if (bytes.length === 0) return bytes
    const stamp = Buffer.from(timestamp(clock()))
    const parts: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      if (atStart) parts.push(stamp)
      const end = bytes.indexOf(LF, at)
      atStart = end >= 0
      const next = atStart ? end + 1 : bytes.length
      parts.push(bytes.subarray(at, next))
      at = next
    }
    return Buffer.concat(parts)
  }
}

/**
 * The stream's position in an escape sequence (ECMA-48): outside; after ESC; after ESC and intermediate bytes,
 * which one more byte ends; in a control sequence; in a string (title, palette, picture), which BEL or ESC \
 * ends; after an ESC in a string.
 */
type State = 'text' | 'escape' | 'intermediate' | 'control' | 'string' | 'stringEscape'

/** The bytes that begin a string after ESC: DCS, SOS, OSC, PM, APC. */
const strings = new Set(Buffer.from('PX]^_'))
const bracket = '['.charCodeAt(0)
const BEL = 0x07
/** CAN and SUB end an incomplete sequence. */
const isCancel = (byte: number): boolean => byte === 0x18 || byte === 0x1a

/** The state after one byte; null where the byte is text. */
const follow = (state: State, byte: number): State | null => {
  if (state === 'string' || state === 'stringEscape') {
    // An unterminated string must not swallow all later text.
    if (byte === LF) return null
    if (state === 'stringEscape' && byte !== ESC) return afterEscape(byte)
    if (byte === ESC) return 'stringEscape'
    return byte === BEL || isCancel(byte) ? 'text' : 'string'
  }
  if (byte === ESC) return 'escape'
  if (state === 'text') return null
  if (isCancel(byte)) return 'text'
  // Terminals obey controls in the middle of a sequence, and no sequence has bytes beyond ASCII.
  if (byte < 0x20 || byte > 0x7e) return null
  if (state === 'escape') return afterEscape(byte)
  if (state === 'intermediate') return byte >= 0x30 ? 'text' : state
  return byte >= 0x40 ? 'text' : 'control'
}

const afterEscape = (byte: number): State => {
  if (byte === bracket) return 'control'
  if (strings.has(byte)) return 'string'
  return byte >= 0x20 && byte < 0x30 ? 'intermediate' : 'text'
}

/** Drop escape sequences: colours, cursor movements, titles. */
export const stripper = (): Filter => {
  let state: State = 'text'
  return bytes => {
    if (state === 'text' && !bytes.includes(ESC)) return bytes
    const kept = Buffer.allocUnsafe(bytes.length)
    let length = 0
    for (const byte of bytes) {
      const next = follow(state, byte)
      if (next !== null) {
        state = next
        continue
      }
      // A control in a control sequence does not end it.
      if (state === 'string' || state === 'stringEscape' || byte > 0x7e) state = 'text'
      kept[length++] = byte
    }
    return kept.subarray(0, length)
  }
}
