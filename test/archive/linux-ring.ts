/** A guest for tests: it appends to the console of a region as Linux does, header first, and takes no lock. */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { mapBytes } from '#src/region/map.js'

/** `number 7` and padding: 16 bytes, so that no line is like any other. */
export const lineOf = (n: number): Buffer => Buffer.from(`${String(n).padStart(15, '0')}\n`)

/** The numbers of the lines in some text, whole ones. */
export const numbersIn = (text: string): number[] =>
  [...text.matchAll(/(\d{15})\n/g)].map(([, digits]) => Number(digits))

/** The region is its memory, so that it is never in the midst of an append for longer than a guest is. */
export class LinuxGuest {
  readonly #zone: Buffer
  /** The number of the next line. */
  next = 0

  /**
   * @param offset of the zone in the region, in bytes
   * @param length of its ring
   */
  constructor(
    region: string,
    offset: number,
    readonly length: number,
  ) {
    const fd = fs.openSync(region, 'r+')
    this.#zone = mapBytes(fd, offset, 12 + length, false)
    fs.closeSync(fd)
  }

  /** Store a header's numbers, whatever they are. */
  store(start: number, size: number): void {
    this.#zone.writeUInt32LE(start, 4)
    this.#zone.writeUInt32LE(size, 8)
  }

  /**
   * The steps of an append, each of which the guest may be stopped before (fs/pstore/ram_core.c,
   * persistent_ram_write: buffer_size_add, buffer_start_add, and the bytes).
   */
  *steps(): Generator<void, void, void> {
    const zone = this.#zone
    const size = zone.readUInt32LE(8)
    yield
    if (size < this.length) zone.writeUInt32LE(Math.min(size + 16, this.length), 8)
    yield
    const start = zone.readUInt32LE(4)
    yield
    zone.writeUInt32LE((start + 16) % this.length, 4)
    yield
    this.#fill(start, lineOf(this.next++))
  }

  /** Append lines: the same steps, between which nothing is allocated, so that no collector stops it there. */
  append(lines = 1): void {
    const zone = this.#zone
    for (let n = 0; n < lines; n++) {
      const line = lineOf(this.next++)
      const size = zone.readUInt32LE(8)
      if (size < this.length) zone.writeUInt32LE(Math.min(size + 16, this.length), 8)
      const start = zone.readUInt32LE(4)
      zone.writeUInt32LE((start + 16) % this.length, 4)
      this.#fill(start, line)
    }
  }

  #fill(start: number, line: Buffer): void {
    const first = line.copy(this.#zone, 12 + start)
    line.copy(this.#zone, 12, first)
  }
}

/** A guest of its own process, which is hardly ever made to wait in the midst of an append: a kernel never is. */
export const spawnGuest = (...args: (string | number)[]): ChildProcess => {
  const script = path.resolve(import.meta.dirname, 'guest-process.js')
  const words = ['-n', '-20', process.execPath, script, ...args.map(String)]
  return spawn('nice', words, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
}
