/** A backend's work in the pool: which of it waits, and which is being done. */
import { StoreError } from '../../pstore/errors.js'
import type { Answer, Task, Wanted } from './messages.js'
import type { Thread } from './thread.js'

/** A lane whose tasks take longer than this is slow, in ms. */
const slowAfter = 50
/** A backend that takes longer than this for one task may take as long for any other, in ms. */
const stuckAfter = 1000

/** A task, and who waits for it. */
export interface Job {
  readonly task: Task
  readonly promise: Promise<Answer>
  done(answer: Answer): void
  failed(error: unknown): void
}

/** @returns a job that nobody has begun */
export const jobOf = (task: Task): Job => {
  let [done, failed]: [Job['done'], Job['failed']] = [() => {}, () => {}]
  const promise = new Promise<Answer>((...both) => ([done, failed] = both))
  return { task, promise, done, failed }
}

/** Tasks that are done one after another, in the order in which they came. */
export class Lane {
  /** When the task that is being done was begun, as performance.now() says; 0: none is. */
  since = 0
  /** When its next task could have been begun; the same clock. */
  ready = 0
  #waiting: Job[] = []
  /** Those waiting whose answer others can have too, by what was asked. */
  readonly #shared = new Map<string, Job>()

  #wasSlow = false

  constructor(readonly of: Line) {}

  /** @param took what a task took, in ms */
  note(took: number): void {
    this.#wasSlow = took > slowAfter
  }

  /** Is it likely that the next task keeps a thread for long? */
  get slow(): boolean {
    return this.#wasSlow || this.of.stuck
  }

  get hasWork(): boolean {
    return this.#waiting.length > 0
  }

  /** Who asks what another already waits for gets the same answer, unless an erasure comes in between. */
  add(task: Task): Promise<Answer> {
    const job = jobOf(task)
    if (task.op === 'erase') this.#shared.clear()
    else {
      // All of the question: of which name, too.
      const key = JSON.stringify(task)
      const same = this.#shared.get(key)
      if (same) return same.promise
      this.#shared.set(key, job)
    }
    this.#waiting.push(job)
    return job.promise
  }

  /** Take the next job; null where none waits. */
  next(): Job | null {
    const job = this.#waiting.shift()
    if (!job) return null
    for (const [key, shared] of this.#shared) if (shared === job) this.#shared.delete(key)
    return job
  }

  /** What was begun is still to be done, by another thread. */
  putBack(job: Job): void {
    this.#waiting.unshift(job)
  }

  fail(error: StoreError): void {
    for (const job of this.#waiting.splice(0)) job.failed(error)
    this.#shared.clear()
  }
}

/** One backend. */
export class Line {
  /** Tasks that look into records. */
  readonly look = new Lane(this)
  /** Listings: cheap, and asked for by who does not care for this backend, as `ls` of the root is. */
  readonly names = new Lane(this)
  /** The thread that served it last. */
  last: Thread | null = null
  /** Only threads that have it attached can serve it: another file is at its path by now. */
  bound = false
  closed = false

  constructor(
    readonly id: number,
    public wanted: Wanted,
  ) {}

  get name(): string {
    return this.wanted.candidate.name
  }

  get stuck(): boolean {
    const before = performance.now() - stuckAfter
    return [this.look, this.names].some(({ since }) => since > 0 && since < before)
  }

  fail(error: StoreError): void {
    this.look.fail(error)
    this.names.fail(error)
  }
}
