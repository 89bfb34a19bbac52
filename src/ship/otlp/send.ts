/**
 * Sends what an archive has not sent yet. The archive is the queue: a crash is marked once a collector has taken all
 * of it, on the disk; without that the next run sends it again, and whoever is killed loses nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Folder } from '../../native/folder.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import { markSent, markUsed } from '../marks.js'
import { waitingIn } from '../queue.js'
import { Collector, type Answer } from './collector.js'
import { formOf, type Form } from './form.js'
import { halve, LogRecords, type Piece } from './records.js'
import type { Settings } from './settings.js'

export interface Sending {
  readonly settings: Settings
  /** Whether addresses, host names and the command line's values are taken out. */
  readonly redacts: boolean
  /** How long it is tried while nothing is taken, in ms. */
  readonly patience: number
  /** Is told, in a line, of what was not sent. */
  readonly tell: (why: string) => void
  /** Is told how many crashes have been sent. */
  readonly show: (sent: number) => void
}

export interface Sent {
  /** How many crashes were sent, and how many go with the next run. */
  readonly sent: number
  readonly waiting: number
  /** Why it went no further; null: each crash was tried. */
  readonly why: string | null
  /** For how long the collector then wants nothing, in ms; null: it did not say. */
  readonly after: number | null
}

/** Bytes of a request before it is compressed: a fifth of what a collector takes unless it is told otherwise. */
const largestRequest = 2 ** 22
/** A collector that takes no request of so many bytes takes none. */
const smallestRequest = 2 ** 14
/** Of one request: each crash's folder is open until it is answered. */
const mostCrashes = 128

/** How many crashes that were not taken are named. */
const mostNamed = 10

/** Milliseconds before the second try, and at most. */
const firstPause = 500
const longestPause = 30_000
/** What a timer counts to, in ms: 24 days. A longer one would end at once. */
const longestTimer = 2 ** 31 - 1

/** A crash on its way. */
interface Crash {
  readonly folder: Folder
  /** What of it has not been answered yet. */
  open: number
  /** All of it has been read. */
  isRead: boolean
  /** Something of it was not taken. */
  isRefused: boolean
}

interface Item {
  readonly piece: Piece
  readonly crash: Crash
  /** Bytes of a request with it alone. */
  readonly size: number
}

/** This run goes no further. */
class GivenUp extends Error {
  override name = 'GivenUp'

  /** @param after as of {@link Sent} */
  constructor(
    why: string,
    readonly after: number | null = null,
  ) {
    super(why)
  }
}

const sizeOf = (items: readonly Item[]): number => items.reduce((sum, { size }) => sum + size, 0)

const crashesOf = (items: readonly Item[]): Crash[] => [...new Set(items.map(({ crash }) => crash))]

class Sender {
  sent = 0
  refused = 0
  readonly #onTheWay = new Set<Crash>()
  readonly #collector: Collector
  readonly #records: LogRecords
  #batch: Item[] = []
  #batchSize = 0
  #limit = largestRequest

  constructor(
    readonly how: Sending,
    readonly form: Form,
  ) {
    this.#collector = new Collector(how.settings, form.contentType)
    this.#records = new LogRecords(how.settings, how.redacts)
  }

  /** @throws GivenUp */
  async run(archive: Folder): Promise<void> {
    for (const { crash, folder } of waitingIn(archive, 'otlp', this.how.tell)) {
      const sending = { folder, open: 0, isRead: false, isRefused: false }
      this.#onTheWay.add(sending)
      try {
        for (const piece of this.#records.of(crash))
          for (const item of this.#fitting(piece, sending)) await this.#add(item)
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        this.#refuse(sending, error.message)
      }
      sending.isRead = true
      this.#settle(sending)
    }
    await this.#flush()
  }

  /** A piece in as many as requests can carry. */
  *#fitting(piece: Piece, crash: Crash): Generator<Item, void, void> {
    const isLong = piece.to - piece.from > this.#limit
    const size = isLong ? Infinity : this.form.encode([piece]).length
    const halves = size > this.#limit ? halve(piece) : null
    if (halves) for (const half of halves) yield* this.#fitting(half, crash)
    else {
      crash.open++
      yield { piece, crash, size }
    }
  }

  async #add(item: Item): Promise<void> {
    const isFull = this.#batchSize + item.size > this.#limit || this.#onTheWay.size > mostCrashes
    if (isFull) await this.#flush()
    this.#batch.push(item)
    this.#batchSize += item.size
  }

  async #flush(): Promise<void> {
    const items = this.#batch
    this.#batch = []
    this.#batchSize = 0
    if (items.length > 0) await this.#deliver(items)
  }

  /** Send items until they are taken, or it is known which are not. */
  async #deliver(items: readonly Item[]): Promise<void> {
    const answer = await this.#ask(items)
    if (answer.kind === 'taken') return this.#answered(items)
    if (answer.kind === 'too large') return this.#deliverLess(items)
    if (answer.kind === 'refused') throw new GivenUp(answer.why)
    // Nobody says which: each crash goes alone.
    const crashes = crashesOf(items)
    if (crashes.length === 1) {
      this.#refuse(crashes[0]!, answer.why)
      this.#answered(items)
    } else
      for (const crash of crashes) await this.#deliver(items.filter(item => item.crash === crash))
  }

  /** Send what was too much at once in smaller requests. */
  async #deliverLess(items: readonly Item[]): Promise<void> {
    const most = Math.floor(sizeOf(items) / 2)
    this.#limit = Math.max(smallestRequest, Math.min(this.#limit, most))
    const smaller: Item[] = []
    for (const { piece, crash } of items) {
      crash.open--
      smaller.push(...this.#fitting(piece, crash))
    }
    if (smaller.length === 1) {
      const [{ crash, size }] = smaller as [Item]
      this.#refuse(crash, `the collector takes no request of ${size} bytes`)
      return this.#answered(smaller)
    }
    for (let group: Item[] = []; smaller.length > 0;) {
      group.push(smaller.shift()!)
      if (smaller[0] && sizeOf(group) + smaller[0].size <= most) continue
      await this.#deliver(group)
      group = []
    }
  }

  /** Ask until there is an answer, or patience ends. */
  async #ask(items: readonly Item[]): Promise<Exclude<Answer, { kind: 'later' }>> {
    const body = this.form.encode(items.map(({ piece }) => piece))
    const start = performance.now()
    for (let pause = firstPause; ; pause = Math.min(2 * pause, longestPause)) {
      const answer = await this.#collector.post(body)
      if (answer.kind !== 'later') return answer
      // Many hosts that were refused together do not come back together.
      const wait = Math.max(answer.after ?? 0, pause * (0.5 + Math.random() / 2))
      if (performance.now() - start + wait > this.how.patience)
        throw new GivenUp(answer.why, answer.after)
      await sleep(Math.min(wait, longestTimer))
    }
  }

  #answered(items: readonly Item[]): void {
    for (const { crash } of items) {
      crash.open--
      this.#settle(crash)
    }
  }

  #refuse(crash: Crash, why: string): void {
    if (crash.isRefused) return
    crash.isRefused = true
    if (++this.refused <= mostNamed) this.how.tell(`${crash.folder.path}: not taken: ${why}`)
  }

  #settle(crash: Crash): void {
    if (!crash.isRead || crash.open > 0) return
    if (!crash.isRefused) {
      this.#mark(crash)
      this.how.show(++this.sent)
    }
    this.#onTheWay.delete(crash)
    crash.folder.close()
  }

  /** What cannot be marked would be sent again and again. */
  #mark({ folder }: Crash): void {
    try {
      markSent(folder, 'otlp')
    } catch (error) {
      assertStoreError(error)
      throw new GivenUp(error.message)
    }
  }

  close(): void {
    for (const { folder } of this.#onTheWay) folder.close()
    this.#collector.close()
  }
}

const countWaiting = (archive: Folder): number => {
  let count = 0
  for (const { folder } of waitingIn(archive, 'otlp', () => {})) {
    folder.close()
    count++
  }
  return count
}

/**
 * Send an archive's crashes.
 *
 * @throws StoreError where the archive cannot be read or written
 */
export const sendCrashes = async (archive: Folder, how: Sending): Promise<Sent> => {
  markUsed(archive, 'otlp')
  const sender = new Sender(how, await formOf(how.settings.isJson))
  let end: GivenUp | null = null
  try {
    await sender.run(archive)
  } catch (error) {
    if (!(error instanceof GivenUp)) throw error
    end = error
  } finally {
    sender.close()
  }
  const isAll = end === null && sender.refused === 0
  return {
    sent: sender.sent,
    waiting: isAll ? 0 : countWaiting(archive),
    why: end?.message ?? null,
    after: end?.after ?? null,
  }
}
