/** `pstorefs follow`: a ring's bytes, then what is appended to it, as `tail -f` does. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandModule } from 'yargs'
import { AndroidLog } from '../../decoders/android.js'
import { Follower, type News } from '../../pstore/follower.js'
import { contentOf, chunksOf } from '../../pstore/content.js'
import { StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import {
  requirePmsg,
  ringsNamed,
  withSourceAndNames,
  type SourceAndNames,
} from '../options/named-records.js'
import { dieOf } from '../../native/signals.js'
import { attachSource } from '../options/source.js'
import { terminalFilter } from '../../pstore/printable.js'

interface Args extends SourceAndNames {
  history: boolean
  android: boolean
}

/** How long to wait between two looks, in ms: after news, and at most. */
const shortest = 10
const longest = 100

const details =
  'Prints what a ring holds – a zone of console, pmsg or tty – and then what is appended to it, ' +
  'until it is interrupted. Names are those that `pstorefs ls` prints; a ring that is still empty is ' +
  'waited for. Of a region whose machine runs, too: a guest’s, say. Where the ring was erased, or written ' +
  'faster than it could be read, a line on stderr says so.'

export const follow: CommandModule<object, Args> = {
  command: 'follow <source> <names..>',
  describe: 'print a ring, and what is appended to it',
  builder: argv =>
    withSourceAndNames(argv)
      .usage(`$0 follow SOURCE NAME… [options]\n\n${details}`)
      .option('history', {
        type: 'boolean',
        default: true,
        describe: 'what it holds first; --no-history: only what is new',
      })
      .option('android', {
        type: 'boolean',
        default: false,
        describe: "pmsg: Android's binary log as logcat prints it",
      })
      .example('$0 follow guest.img console-ramoops-0 --record-size 64K --console-size 256K', '')
      .example('$0 follow --android --no-history guest.img pmsg-ramoops-0 --preset crosvm', ''),
  handler: async args => {
    const backend = attachSource(args, { readOnly: true })
    try {
      const rings = ringsNamed(backend, args)
      if (args.android && !rings.some(({ type }) => type === 'pmsg')) requirePmsg(rings)
      const output = new Output(rings.length > 1)
      const followed = rings.map(ring => ({
        follower: new Follower(ring, args.history),
        printer: new Printer(ring.name, args.android && ring.type === 'pmsg', output),
      }))
      for (let first = true, pause = shortest; ; first = false) {
        await sleep(pause)
        pause = Math.min(2 * pause, longest)
        let spent = 0
        for (const { follower, printer } of followed) {
          const begin = performance.now()
          const news = follower.poll(begin)
          spent += performance.now() - begin
          if (first) await printer.introduce()
          if (!news) continue
          await printer.print(news)
          pause = shortest
        }
        // A guest that has large zones verified again and again does not get the host to do only that.
        pause = Math.max(pause, 3 * spent)
      }
    } finally {
      backend.close()
    }
  },
}

/** Stdout, shared by the rings that are followed. */
class Output {
  /** Whose text was last printed. */
  #last: Printer | null = null

  constructor(readonly headed: boolean) {
    // What cannot be written is the writer's to handle.
    process.stdout.on('error', () => {})
  }

  /** Say whose text follows, as tail does, where several are followed and another one's came last. */
  async turnTo(printer: Printer): Promise<void> {
    const { headed } = this
    const first = this.#last === null
    if (!headed || this.#last === printer) return
    this.#last = printer
    await this.write(`${first ? '' : '\n'}==> ${printer.name} <==\n`)
  }

  /** Write, and wait until it is written. Where nobody reads any more, the process ends. */
  write(bytes: string | Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      process.stdout.write(bytes, error => {
        if (!error) resolve()
        else if ((error as NodeJS.ErrnoException).code === 'EPIPE') dieOf('SIGPIPE')
        else reject(new StoreError(`standard output: ${error.message}`, 'EIO'))
      })
    })
  }
}

/** Prints what is new in one ring. */
class Printer {
  readonly #log: AndroidLog | null
  readonly #filter = process.stdout.isTTY ? terminalFilter() : null
  #skipped = 0

  constructor(
    readonly name: string,
    android: boolean,
    readonly output: Output,
  ) {
    this.#log = android ? new AndroidLog() : null
  }

  /** Print the header that every ring has at the start, as in tail. */
  introduce(): Promise<void> {
    return this.output.turnTo(this)
  }

  async print({ erased, lost, pieces }: News): Promise<void> {
    if (erased) tell(`${this.name}: was erased, and starts anew`)
    if (lost !== null)
      tell(
        `${this.name}: written faster than it was read: ` +
          (lost ? `at least ${lost} bytes are lost` : 'bytes may be lost'),
      )
    if (erased || lost !== null) this.#log?.interrupt()
    for (const piece of pieces.flatMap(bytes => [...chunksOf(contentOf(bytes))])) {
      const bytes = this.#log ? this.#log.decode(piece) : piece
      const text = this.#filter ? this.#filter(bytes) : bytes
      if (text.length === 0) continue
      await this.output.turnTo(this)
      await this.output.write(text)
    }
    const skipped = this.#log?.skipped ?? 0
    if (skipped > this.#skipped)
      tell(`${this.name}: ${skipped - this.#skipped} bytes are no Android log`)
    this.#skipped = skipped
  }
}
