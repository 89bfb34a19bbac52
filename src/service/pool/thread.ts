/** A thread of the pool, seen from the main thread. */
import { Worker } from 'node:worker_threads'
import { StoreError } from '../../pstore/errors.js'
import type { Message, Reply } from './messages.js'

interface Pending {
  done(reply: Reply): void
  failed(error: StoreError): void
}

/**
 * As little memory as attaching and reading take: a larger young generation grows with what was read, and stays.
 * What node was told to load for the main thread is no thread's.
 */
const workerOptions = { resourceLimits: { maxYoungGenerationSizeMb: 4 }, execArgv: [] }

export class Thread {
  /** The backends that it has attached. */
  readonly has = new Set<number>()
  /** When it last got done with something, or began after it had nothing to do, as performance.now() says. */
  since = 0
  /** False until it has started: it takes some 0.1 s. */
  started = false
  /** Resolves once it has, or has ended. */
  readonly begun: Promise<void>
  ended = false
  readonly #worker = new Worker(new URL('./worker.js', import.meta.url), workerOptions)
  /** In the order in which it was asked, and answers; the first is for its start. */
  readonly #pending: Pending[]

  /**
   * @param onStart called when it can take its first message
   * @param onEnd called when it ends without being told, with the reason
   */
  constructor(onStart: () => void, onEnd: (why: string) => void) {
    let why = 'it left'
    let tellBegun = (): void => {}
    this.begun = new Promise(resolve => (tellBegun = resolve))
    this.#pending = [
      {
        done: () => {
          this.started = true
          tellBegun()
          onStart()
        },
        failed: tellBegun,
      },
    ]
    this.#worker
      .on('message', (reply: Reply) => {
        const first = this.#pending.shift()
        this.since = performance.now()
        // A thread with nothing to do keeps no process, but one that ends keeps it until it has ended.
        if (this.#pending.length === 0 && !this.ended) this.#worker.unref()
        first?.done(reply)
      })
      .on('error', (error: Error) => (why = error.message))
      .on('exit', () => {
        const expected = this.ended
        this.ended = true
        for (const { failed } of this.#pending.splice(0))
          failed(new StoreError(`a thread of the pool ended: ${why}`, 'EIO'))
        if (!expected) onEnd(why)
      })
  }

  get idle(): boolean {
    return this.#pending.length === 0 && !this.ended
  }

  /** @throws StoreError (EIO), a rejection, where the thread ends before it has answered */
  ask(message: Message): Promise<Reply> {
    this.#worker.ref()
    if (this.idle) this.since = performance.now()
    return new Promise((done, failed) => {
      this.#pending.push({ done, failed })
      this.#worker.postMessage(message)
    })
  }

  detach(backend: number): void {
    if (this.has.delete(backend)) this.#worker.postMessage({ detach: backend } satisfies Message)
  }

  /** End it, whatever it is doing; its descriptors are closed with it. */
  async end(): Promise<void> {
    this.ended = true
    await this.#worker.terminate()
  }
}
