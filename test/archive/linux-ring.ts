/** A guest for tests: it appends to the console of a region as Linux does, header first, and takes no lock. */
import fs from 'node:fs'

/** `number 7` and padding: 16 bytes, so that no line is like any other. */
export const lineOf = (n: number): Buffer => Buffer.from(`${String(n).padStart(15, '0')}\n`)

/** The numbers of the lines in some text, whole ones. */
export const numbersIn = (text: string): number[] =>
  [...text.matchAll(/(\d{15})\n/g)].map(([, digits]) => Number(digits))

export class LinuxGuest {
  readonly #fd: number
  readonly #header = Buffer.alloc(8)
  /** The number of the next line. */
  next = 0

  /**
   * @param offset of the zone in the region, in bytes
   * @param length of its ring
   */
  constructor(
    region: string,
    readonly offset: number,
    readonly length: number,
  ) {
    this.#fd = fs.openSync(region, 'r+')
  }

  /** What persistent_ram_write reads before it stores anything. */
  read(): { start: number; size: number } {
    fs.readSync(this.#fd, this.#header, 0, 8, this.offset + 4)
    return { start: this.#header.readUInt32LE(0), size: this.#header.readUInt32LE(4) }
  }

  /** Move the header by a line, from where it was read. */
  announce({ start, size }: { start: number; size: number }): void {
    this.#header.writeUInt32LE((start + 16) % this.length, 0)
    this.#header.writeUInt32LE(Math.min(size + 16, this.length), 4)
    fs.writeSync(this.#fd, this.#header, 0, 8, this.offset + 4)
  }

  /** Store the line's bytes. */
  fill({ start }: { start: number }): void {
    const line = lineOf(this.next++)
    const place = start % this.length
    const first = Math.min(line.length, this.length - place)
    fs.writeSync(this.#fd, line, 0, first, this.offset + 12 + place)
    fs.writeSync(this.#fd, line, first, line.length - first, this.offset + 12)
  }

  append(lines = 1): void {
    for (let n = 0; n < lines; n++) {
      const at = this.read()
      this.announce(at)
      this.fill(at)
    }
  }

  close(): void {
    fs.closeSync(this.#fd)
  }
}
