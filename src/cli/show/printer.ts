/** What is followed, on stdout: whole, or the lines of it that are looked for. */
import { AndroidLog } from '../../decoders/android.js'
import { contentOf, chunksOf } from '../../pstore/content.js'
import type { News } from '../../pstore/follower.js'
import { terminalFilter } from '../../pstore/printable.js'
import { tell } from '../../service/log.js'
import type { Expression } from '../options/expression.js'
import { outputError } from './output.js'

/** Stdout, shared by the followed rings. */
export class Output {
  /** The printer of the last text. */
  #last: Printer | null = null

  /** @param isHeaded whether there are several rings */
  constructor(readonly isHeaded: () => boolean) {
    // The callback of each write handles its error.
    process.stdout.on('error', () => {})
  }

  /** Print a header, as tail does, where the text of another ring follows. */
  async turnTo(printer: Printer): Promise<void> {
    const first = this.#last === null
    if (!this.isHeaded() || this.#last === printer) return
    this.#last = printer
    await this.write(`${first ? '' : '\n'}==> ${printer.title} <==\n`)
  }

  /** Write, and wait until the bytes are written. Where stdout has no reader any more, the process ends. */
  write(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(bytes, error => {
        if (error) reject(outputError(error))
        else resolve()
      })
    })
  }
}

/** Bytes of a line: a longer one is looked at in pieces. */
const longestLine = 4096

/** Lines that are looked for. */
export interface Wanted {
  /** Those that are printed; null: all. */
  readonly grep: Expression | null
  /** That after which nothing is printed; null: none. */
  readonly until: Expression | null
}

const textOf = (line: Buffer): string => line.toString().replace(/\r?\n$/, '')

/** Cuts text into lines, and those that are looked for out of it. */
class LineFilter {
  #rest = Buffer.alloc(0)
  #isRestNew = false

  constructor(readonly wanted: Wanted) {}

  /** What is printed of some more text, and whether the end has come. */
  add(bytes: Buffer): { text: Buffer; isEnd: boolean } {
    const text = Buffer.concat([this.#rest, bytes])
    const lines: Buffer[] = []
    let from = 0
    for (;;) {
      const feed = text.indexOf(0x0a, from)
      const end = feed < 0 ? text.length : feed + 1
      if (feed < 0 && end - from < longestLine) break
      const to = Math.min(end, from + longestLine)
      lines.push(text.subarray(from, to))
      from = to
    }
    this.#rest = Buffer.from(text.subarray(from))
    this.#isRestNew = true
    return this.#select(lines)
  }

  /** The same of a line that does not go on, as a prompt: it may be the one that is waited for. */
  pause(): { text: Buffer; isEnd: boolean } {
    const { until } = this.wanted
    const isAsked = this.#isRestNew && until !== null && this.#rest.length > 0
    this.#isRestNew = false
    const isEnd = isAsked && until.test([textOf(this.#rest)])[0]!
    return { text: isEnd ? this.#rest : Buffer.alloc(0), isEnd }
  }

  /** The same of the last line, which does not go on. */
  end(): { text: Buffer; isEnd: boolean } {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    return this.#select(rest.length > 0 ? [rest] : [])
  }

  #select(lines: Buffer[]): { text: Buffer; isEnd: boolean } {
    const { grep, until } = this.wanted
    const texts = lines.map(textOf)
    const at = until?.test(texts).indexOf(true) ?? -1
    const isEnd = at >= 0
    const last = isEnd ? at : lines.length
    const isPrinted = grep?.test(texts)
    const text = lines.filter((_, i) => i === at || (i < last && (isPrinted?.[i] ?? true)))
    return { text: Buffer.concat(text), isEnd }
  }
}

/** Prints the news of one ring. */
export class Printer {
  readonly #log: AndroidLog | null
  readonly #lines: LineFilter | null
  readonly #filter = process.stdout.isTTY ? terminalFilter() : null
  #skipped = 0
  /** Whether what comes next does not follow what was printed: a line that has no end yet does not go on. */
  #isCut = false

  /**
   * @param name for messages
   * @param title for headers
   */
  constructor(
    readonly name: string,
    readonly title: string,
    android: boolean,
    readonly output: Output,
    wanted: Wanted,
  ) {
    this.#log = android ? new AndroidLog() : null
    this.#lines = wanted.grep || wanted.until ? new LineFilter(wanted) : null
  }

  /** Print the ring's header at the start, as tail does. */
  introduce(): Promise<void> {
    return this.#lines ? Promise.resolve() : this.output.turnTo(this)
  }

  /** What comes now does not follow what was printed. */
  interrupt(): void {
    this.#log?.interrupt()
    this.#isCut = true
  }

  /** @returns true: the line after which nothing is printed has come */
  async print({ erased, lost, pieces }: News): Promise<boolean> {
    if (erased) tell(`${this.name}: was erased, and starts anew`)
    if (lost !== null)
      tell(
        `${this.name}: written faster than it was read: ` +
          (lost ? `at least ${lost} bytes are lost` : 'bytes may be lost'),
      )
    if (erased || lost !== null) this.interrupt()
    const isCut = this.#isCut
    this.#isCut = false
    if (isCut && (await this.end())) return true
    let isEnd = false
    for (const piece of pieces.flatMap(bytes => [...chunksOf(contentOf(bytes))])) {
      const bytes = this.#log ? this.#log.decode(piece) : piece
      const selected = this.#lines?.add(bytes) ?? { text: bytes, isEnd: false }
      await this.#write(selected.text)
      isEnd = selected.isEnd
      if (isEnd) break
    }
    const skipped = this.#log?.skipped ?? 0
    if (skipped > this.#skipped)
      tell(`${this.name}: skipped ${skipped - this.#skipped} bytes that are not an Android log`)
    this.#skipped = skipped
    return isEnd
  }

  /** Nothing came. @returns as {@link print} */
  async rest(): Promise<boolean> {
    const { text, isEnd } = this.#lines?.pause() ?? { text: Buffer.alloc(0), isEnd: false }
    await this.#write(text)
    return isEnd
  }

  /** What was printed does not go on. @returns as {@link print} */
  async end(): Promise<boolean> {
    const { text, isEnd } = this.#lines?.end() ?? { text: Buffer.alloc(0), isEnd: false }
    await this.#write(text)
    return isEnd
  }

  async #write(bytes: Buffer): Promise<void> {
    const text = this.#filter ? this.#filter(bytes) : bytes
    if (text.length === 0) return
    await this.output.turnTo(this)
    await this.output.write(text)
  }
}
