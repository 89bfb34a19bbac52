/** `pstorefs follow`: print a ring's bytes, then each addition, as `tail -f` does. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandModule } from 'yargs'
import { parseSource } from '../../attach.js'
import { AndroidLog } from '../../decoders/android.js'
import { Follower, pauseAfter, shortestPause, type News } from '../../pstore/follower.js'
import { contentOf, chunksOf } from '../../pstore/content.js'
import type { Backend } from '../../pstore/backend.js'
import { assertStoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import { lookInterval, Place, type Fate } from '../../service/replaced.js'
import {
  requirePmsg,
  ringsNamed,
  withSourceAndNames,
  type SourceAndNames,
} from '../options/named-records.js'
import { attachToRead, findSource } from '../options/source.js'
import { outputError } from '../show/output.js'
import { terminalFilter } from '../../pstore/printable.js'

interface Args extends SourceAndNames {
  history: boolean
  android: boolean
}

const details =
  'Prints the content of a ring (a zone of console, pmsg or tty), and then each addition, until a signal ' +
  'ends it. An empty ring can be followed, too. Also works while the machine ' +
  '(e.g. a guest) is running. A line on stderr tells where the ring was erased, or was written faster than ' +
  'it is read, and where its file was replaced by another one, which then is followed.'

export const follow: CommandModule<object, Args> = {
  command: 'follow <source> <names..>',
  describe: 'print a ring, then each addition to it',
  builder: argv =>
    withSourceAndNames(argv)
      .usage(`$0 follow SOURCE NAME… [options]\n\n${details}`)
      .option('history', {
        type: 'boolean',
        default: true,
        describe: 'print the old content first; --no-history: only additions',
      })
      .option('android', {
        type: 'boolean',
        default: false,
        describe: "print Android's binary log in pmsg as logcat does",
      })
      .example('$0 follow guest.img console --record-size 64K --console-size 256K', '')
      .example('$0 follow --android --no-history guest.img pmsg --preset crosvm', ''),
  handler: async args => {
    const source = new FollowedSource(args)
    try {
      for (let first = true, pause = shortestPause; ; first = false) {
        await sleep(pause)
        source.renew()
        let spent = 0
        let hasNews = false
        for (const { follower, printer } of source.rings) {
          const begin = performance.now()
          const news = follower.poll(begin)
          spent += performance.now() - begin
          if (first) await printer.introduce()
          if (!news) continue
          await printer.print(news)
          hasNews = true
        }
        pause = pauseAfter(pause, hasNews, spent)
      }
    } finally {
      source.close()
    }
  },
}

interface FollowedRing {
  follower: Follower
  readonly printer: Printer
}

/** The rings that are followed, in whatever file is at their path. */
class FollowedSource {
  readonly rings: readonly FollowedRing[]
  #backend: Backend
  #place: Place
  #fate: Fate = 'same'
  #looked = performance.now()
  /** What was said of a file that cannot be followed. */
  #said = ''

  /** @throws StoreError where the source cannot be attached, or has no such ring */
  constructor(readonly args: Args) {
    const { android, history } = args
    const { place, backend } = this.#attach()
    this.#place = place
    this.#backend = backend
    const rings = ringsNamed(backend, args)
    if (android && !rings.some(({ type }) => type === 'pmsg')) requirePmsg(rings)
    const output = new Output(rings.length > 1)
    this.rings = rings.map(ring => ({
      follower: new Follower(ring, history),
      printer: new Printer(ring.name, android && ring.type === 'pmsg', output),
    }))
  }

  #attach(): { place: Place; backend: Backend } {
    const { source, config } = this.args
    const place = new Place(parseSource(findSource(source, config, {}).source).path)
    return { place, backend: attachToRead(this.args) }
  }

  /** Go on with another file where one has taken the place of this one, as `tail -F` does. */
  renew(): void {
    if (performance.now() - this.#looked < lookInterval) return
    this.#looked = performance.now()
    const { path } = this.#place
    const before = this.#fate
    this.#fate = this.#place.look()
    if (this.#fate === 'gone' && before !== 'gone') tell(`${path}: is gone: waiting for a new one`)
    if (this.#fate !== 'replaced') return
    try {
      this.#turnTo(this.#attach())
      tell(`${path}: was replaced: following the new one`)
      this.#said = ''
    } catch (error) {
      assertStoreError(error)
      if (error.message !== this.#said)
        tell(`${path}: was replaced, and the new one cannot be followed yet: ${error.message}`)
      this.#said = error.message
    }
  }

  #turnTo({ place, backend }: { place: Place; backend: Backend }): void {
    try {
      const followers = ringsNamed(backend, this.args).map(ring => new Follower(ring, true))
      for (const [i, ring] of this.rings.entries()) {
        ring.follower = followers[i]!
        ring.printer.interrupt()
      }
    } catch (error) {
      backend.close()
      throw error
    }
    this.#backend.close()
    this.#backend = backend
    this.#place = place
  }

  close(): void {
    this.#backend.close()
  }
}

/** Stdout, shared by the followed rings. */
class Output {
  /** The printer of the last text. */
  #last: Printer | null = null

  constructor(readonly headed: boolean) {
    // The callback of each write handles its error.
    process.stdout.on('error', () => {})
  }

  /** Print a header, as tail does, where the text of another ring follows. */
  async turnTo(printer: Printer): Promise<void> {
    const { headed } = this
    const first = this.#last === null
    if (!headed || this.#last === printer) return
    this.#last = printer
    await this.write(`${first ? '' : '\n'}==> ${printer.name} <==\n`)
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

/** Prints the news of one ring. */
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

  /** Print the ring's header at the start, as tail does. */
  introduce(): Promise<void> {
    return this.output.turnTo(this)
  }

  /** What comes now does not follow what was printed. */
  interrupt(): void {
    this.#log?.interrupt()
  }

  async print({ erased, lost, pieces }: News): Promise<void> {
    if (erased) tell(`${this.name}: was erased, and starts anew`)
    if (lost !== null)
      tell(
        `${this.name}: written faster than it was read: ` +
          (lost ? `at least ${lost} bytes are lost` : 'bytes may be lost'),
      )
    if (erased || lost !== null) this.interrupt()
    for (const piece of pieces.flatMap(bytes => [...chunksOf(contentOf(bytes))])) {
      const bytes = this.#log ? this.#log.decode(piece) : piece
      const text = this.#filter ? this.#filter(bytes) : bytes
      if (text.length === 0) continue
      await this.output.turnTo(this)
      await this.output.write(text)
    }
    const skipped = this.#log?.skipped ?? 0
    if (skipped > this.#skipped)
      tell(`${this.name}: skipped ${skipped - this.#skipped} bytes that are not an Android log`)
    this.#skipped = skipped
  }
}
