/** A thread of the lookout, seen from the main thread. */
import { Worker } from 'node:worker_threads'
import type { How } from '../archive/run.js'
import type { SourceCandidate } from '../service/plan.js'
import { busyWith, over, turns, type Begin, type Order, type Report } from './messages.js'

/** How often in a row a thread is found in one turn before it is taken to be stuck in it. */
const patience = 2

export class LookThread {
  /** What it looks after, by number. */
  readonly has = new Map<number, SourceCandidate>()
  readonly ended: Promise<void>
  readonly #flags = new Int32Array(new SharedArrayBuffer(12))
  readonly #worker: Worker
  #turn = -1
  #found = 0
  /** The backend in whose turn it has been for a while; null: it gets on. */
  stuckWith: number | null = null

  /** @param onEnd called when it ends without being told, with the reason */
  constructor(
    dir: string,
    how: How,
    report: (report: Report) => void,
    onEnd: (why: string) => void,
  ) {
    const workerData: Begin = { dir, how, flags: this.#flags }
    this.#worker = new Worker(new URL('./looker.js', import.meta.url), {
      workerData,
      // As little memory as looking takes, and nothing that node was told to load for the main thread.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
      execArgv: [],
    })
    let why = 'it left'
    this.#worker.on('message', report).on('error', (error: Error) => (why = error.message))
    this.ended = new Promise(resolve => {
      this.#worker.once('exit', () => {
        if (Atomics.load(this.#flags, over) === 0) onEnd(why)
        resolve()
      })
    })
  }

  take(candidates: ReadonlyMap<number, SourceCandidate>): void {
    for (const [id, candidate] of candidates) this.has.set(id, candidate)
    this.#send({ take: Array.from(candidates, ([id, candidate]) => ({ id, candidate })) })
  }

  drop(ids: readonly number[]): void {
    for (const id of ids) this.has.delete(id)
    this.#send({ drop: ids })
  }

  #send(order: Order): void {
    this.#worker.postMessage(order)
  }

  /** Look what it is doing: from time to time, so that {@link stuckWith} knows. */
  look(): void {
    const [id, turn] = [Atomics.load(this.#flags, busyWith), Atomics.load(this.#flags, turns)]
    this.#found = id !== 0 && turn === this.#turn ? this.#found + 1 : 0
    this.#turn = turn
    this.stuckWith = this.#found >= patience ? id : null
  }

  /** End it after the crash that it is at. */
  end(): void {
    Atomics.store(this.#flags, over, 1)
    this.drop([])
  }
}
