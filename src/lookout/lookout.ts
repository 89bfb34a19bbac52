/**
 * `archive --watch`: stores are looked after until the process is told to end. Threads do the looking, so that a
 * medium that does not answer, or a store that takes long, keeps a thread, and not the others: those move to another.
 */
import { isDeepStrictEqual } from 'node:util'
import type { How } from '../archive/run.js'
import { libc } from '../native/libc.js'
import { count } from '../pstore/condition.js'
import { assertStoreError } from '../pstore/errors.js'
import { log, tell } from '../service/log.js'
import { notifyReady, notifyStatus } from '../service/notify.js'
import type { SourceCandidate } from '../service/plan.js'
import type { Report } from './messages.js'
import { LookThread } from './thread.js'

/** How often it is looked whether threads get on, in ms. */
const lookInterval = 500
/** Threads, where most of them are stuck. */
const mostThreads = 16
/** How long after a thread ended by a mistake another is started, in ms. */
const restartPause = 1000
/** Until when whoever waits for the start is told, though a source does not answer, in ms. */
const readyPatience = 5000
/** How often systemd is told how things are, in ms, at most. */
const statusPause = 200
/** How long a thread may take to end, in ms. */
const endPatience = 1500
/** Lines about one backend that are remembered, so that none is said again. */
const remembered = 64

export interface Watch {
  readonly dir: string
  readonly how: How
  /** The backends, as they are configured now; called again on SIGHUP. Throws a StoreError. */
  candidates(): readonly SourceCandidate[]
  /** A line for stdout. */
  say(folder: string, what: string): void
  /** Called after crashes came into the archive; and once at the start. */
  made(): void
  /** Called where it may be otherwise: how many records the stores have, by name; null: not attached. */
  states(records: ReadonlyMap<string, number | null>): void
}

class Lookout {
  #threads: LookThread[] = []
  readonly #all = new Map<number, SourceCandidate>()
  /** How many records each store has; null: it is not attached. */
  readonly #records = new Map<number, number | null>()
  readonly #told = new Map<number, Set<string>>()
  #lastId = 0
  #crashes = 0
  #ending = false
  #isReady = false
  #status = ''
  #isStatusDue = false
  #saidFull = false

  constructor(readonly watch: Watch) {}

  /** @throws StoreError where there is no backend to be looked after */
  async run(): Promise<never> {
    this.#configure(this.watch.candidates())
    const looking = setInterval(() => this.#lookAfterThreads(), lookInterval)
    setTimeout(() => this.#ready(), readyPatience).unref()
    this.watch.made()
    await new Promise<void>(resolve => {
      process
        .on('SIGTERM', resolve)
        .on('SIGINT', resolve)
        .on('SIGHUP', () => this.#reread())
    })
    clearInterval(looking)
    return this.#end()
  }

  async #end(): Promise<never> {
    this.#ending = true
    for (const thread of this.#threads) thread.end()
    const patience = new Promise(resolve => setTimeout(resolve, endPatience))
    await Promise.race([Promise.all(this.#threads.map(({ ended }) => ended)), patience])
    // Node's own exit waits for a thread whose medium does not answer.
    return libc()._exit(0)
  }

  #reread(): void {
    try {
      this.#configure(this.watch.candidates())
      this.#tellStatus()
    } catch (error) {
      assertStoreError(error)
      tell(`config not reloaded: ${error.message}`)
    }
  }

  /** Look after these: what is as it was goes on. */
  #configure(candidates: readonly SourceCandidate[]): void {
    const isSame = (candidate: SourceCandidate) => (other: SourceCandidate) =>
      isDeepStrictEqual(candidate, other)
    const gone = [...this.#all].filter(([, candidate]) => !candidates.some(isSame(candidate)))
    const known = [...this.#all.values()]
    const added = new Map(
      candidates
        .filter(candidate => !known.some(isSame(candidate)))
        .map(candidate => [++this.#lastId, candidate]),
    )
    for (const [id] of gone) {
      this.#all.delete(id)
      this.#records.delete(id)
      this.#told.delete(id)
      for (const thread of this.#threads) if (thread.has.has(id)) thread.drop([id])
    }
    for (const [id, candidate] of added) this.#all.set(id, candidate)
    const thread = this.#threads.find(({ stuckWith }) => stuckWith === null) ?? this.#start()
    if (added.size > 0) thread.take(added)
  }

  #start(): LookThread {
    const { dir, how } = this.watch
    const thread: LookThread = new LookThread(
      dir,
      how,
      report => this.#heard(report),
      why => this.#onEnd(thread, why),
    )
    this.#threads.push(thread)
    return thread
  }

  #onEnd(thread: LookThread, why: string): void {
    this.#threads = this.#threads.filter(other => other !== thread)
    tell(`a thread of the watch ended: ${why}`)
    setTimeout(() => {
      const left = new Map([...thread.has].filter(([id]) => this.#all.has(id)))
      if (!this.#ending && left.size > 0) this.#start().take(left)
    }, restartPause)
  }

  /** What a stuck thread has besides moves to one that gets on. */
  #lookAfterThreads(): void {
    for (const thread of this.#threads) thread.look()
    for (const thread of this.#threads) {
      const stuck = thread.stuckWith
      if (stuck === null || thread.has.size < 2) continue
      const free = this.#threads.find(({ stuckWith }) => stuckWith === null)
      if (!free && this.#threads.length >= mostThreads) {
        if (!this.#saidFull)
          tell(`${mostThreads} sources do not answer: others are not looked after meanwhile`)
        this.#saidFull = true
        continue
      }
      const others = new Map([...thread.has].filter(([id]) => id !== stuck))
      thread.drop([...others.keys()])
      const next = free ?? this.#start()
      next.take(others)
    }
  }

  #heard(report: Report): void {
    const { id } = report
    if (id !== 0 && !this.#all.has(id)) return
    if ('say' in report) this.watch.say(...report.say)
    else if ('tell' in report) this.#tellOnce(id, report.tell)
    else if ('note' in report) log('notice', report.note)
    else if ('made' in report) {
      this.#crashes += report.made.length
      this.watch.made()
      this.#tellStatus()
    } else if ('calm' in report) this.#told.delete(id)
    else {
      this.#records.set(id, report.records)
      if (!this.#isReady && this.#records.size === this.#all.size) this.#ready()
      this.#tellStatus()
    }
  }

  #tellOnce(id: number, line: string): void {
    let told = this.#told.get(id)
    if (!told) this.#told.set(id, (told = new Set()))
    if (told.has(line) || told.size >= remembered) return
    told.add(line)
    tell(line)
    if (told.size === remembered)
      tell(`${this.#all.get(id)?.name ?? this.watch.dir}: more is not told`)
  }

  #ready(): void {
    if (this.#isReady || this.#ending) return
    this.#isReady = true
    this.#status = this.#describe()
    notifyReady(this.#status)
    this.#giveStates()
  }

  #giveStates(): void {
    const states = Array.from(this.#all, ([id, { name }]): [string, number | null] => [
      name,
      this.#records.get(id) ?? null,
    ])
    this.watch.states(new Map(states))
  }

  #tellStatus(): void {
    if (!this.#isReady || this.#isStatusDue) return
    this.#isStatusDue = true
    setTimeout(() => {
      this.#isStatusDue = false
      const status = this.#describe()
      if (status !== this.#status) notifyStatus((this.#status = status))
      this.#giveStates()
    }, statusPause).unref()
  }

  #describe(): string {
    const missing = [...this.#all.keys()].filter(
      id => (this.#records.get(id) ?? null) === null,
    ).length
    const backends = `${count(this.#all.size, 'backend')}${missing ? `, ${missing} not attached` : ''}`
    return `${backends}; ${this.#crashes} archived since the start`
  }
}

/**
 * Look after stores until SIGTERM or SIGINT; then the process ends with 0.
 *
 * @throws StoreError where it cannot be begun
 */
export const watchStores = (watch: Watch): Promise<never> => new Lookout(watch).run()
