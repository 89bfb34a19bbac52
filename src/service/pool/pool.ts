/**
 * A few threads that look into backends, so that a slow medium keeps nobody waiting but those who ask for it.
 *
 * Any thread can serve any backend: it attaches one when it is first asked for it. A backend has two lanes, and
 * one task at a time in each. Slow lanes leave a thread to the others.
 */
import { isOutOfFiles, mostFiles } from '../../native/descriptors.js'
import { StoreError, receivedError } from '../../pstore/errors.js'
import type { MountHow } from '../attach-as.js'
import type { SourceCandidate } from '../plan.js'
import { PooledBackend } from './backend.js'
import { jobOf, Line, type Job, type Lane } from './lane.js'
import type { Answers, DamageSlice, Reply, Task } from './messages.js'
import { Thread } from './thread.js'

/** Threads that are always there. */
const fewest = 2
/** Threads where nothing gets done without another: the media, not the processors, are waited for. */
const most = 8
/** Threads where there can be no more later: privileges are given up. */
const settled = 3
/** For how long work waits while no thread gets free, before one more is started, in ms. */
const patience = 30
/** Descriptors for all but sources and their locks: those of node and its threads, and what a mount keeps free. */
const besides = 96
/** For how long a thread beyond the fewest stays without work, in ms. */
const idleFor = 30_000

export class Pool {
  #threads: Thread[] = []
  readonly #lines = new Map<number, Line>()
  #lastId = 0
  /** Lanes with a task that can be begun, the one that has waited longest first. */
  #ready: Lane[] = []
  /** Slices of damage to look for, when there is nothing else to do. */
  #scans: { readonly line: Line; readonly thread: Thread; readonly job: Job }[] = []
  /** When a thread last got free, as performance.now() says. */
  #freed = 0
  #growing: NodeJS.Timeout | null = null
  #shrinking: NodeJS.Timeout | null = null
  #settled = false
  #ended = false

  /**
   * @param log told, in a line, what a user has to know of a source, and of a thread that has ended
   * @param limit how many descriptors the process may have
   */
  constructor(
    readonly log: (line: string) => void,
    readonly limit = mostFiles(),
  ) {
    while (this.#threads.length < fewest) this.#start()
  }

  /** How many threads there are. */
  get threads(): number {
    return this.#threads.length
  }

  /** Resolves once its first threads have started, which takes descriptors. */
  async begun(): Promise<void> {
    await Promise.all(this.#threads.map(({ begun }) => begun))
  }

  /**
   * Attach a backend.
   *
   * @throws StoreError, a rejection, saying what is wrong with the source or its layout; nothing stays open
   */
  async attach(candidate: SourceCandidate, how: MountHow): Promise<PooledBackend> {
    const line = new Line(++this.#lastId, { candidate, how, file: null })
    this.#lines.set(line.id, line)
    try {
      const attachment = await this.ask(line, { op: 'attach' })
      const { readOnly, file, lines } = attachment
      for (const text of lines) this.log(text)
      // Who attaches it later finds the same, whatever has changed meanwhile.
      line.wanted = { candidate, how: { ...how, readOnly }, file }
      return new PooledBackend(this, line, attachment)
    } catch (error) {
      this.detach(line)
      throw error
    }
  }

  /**
   * Attach all backends in each thread, and open their locks: once privileges are given up, that cannot be
   * done any more, and no thread is started.
   *
   * @throws StoreError, a rejection, where one cannot be attached
   */
  async attachEverywhere(): Promise<void> {
    while (this.#threads.length < settled) this.#start()
    this.#settled = true
    await Promise.all(
      this.#threads.map(async thread => {
        for (const line of this.#lines.values()) {
          if (thread.has.has(line.id)) continue
          const { id, wanted } = line
          const task = { op: 'attach' } as const
          this.#note(line, thread, await thread.ask({ backend: id, wanted, task }))
        }
        const reply = await thread.ask({ locks: true })
        if ('error' in reply) throw receivedError(reply.error)
      }),
    )
    this.#dispatch()
  }

  /** Have something done; one task of a lane after another. @throws what the task throws, a rejection */
  ask<T extends Task>(line: Line, task: T): Promise<Answers[T['op']]> {
    const why = this.#whyNot(line)
    if (why) return Promise.reject(why)
    const lane = task.op === 'names' ? line.names : line.look
    const wasReady = lane.hasWork || lane.since > 0
    const promise = lane.add(task)
    if (!wasReady) this.#makeReady(lane)
    this.#dispatch()
    // A thread answers what it was asked.
    return promise as Promise<Answers[T['op']]>
  }

  /**
   * Look at some zones, once a thread has nothing else to do.
   *
   * @param thread the one that looked at those before; null: none has
   * @throws StoreError, a rejection, where the store cannot be read, or the thread has ended
   */
  async scan(line: Line, thread: Thread | null): Promise<{ slice: DamageSlice; thread: Thread }> {
    const alive = this.#threads.find(other => other === line.last) ?? this.#threads[0]
    const by = thread ?? alive
    if (line.closed) throw detached(line)
    if (!by || by.ended) throw new StoreError(`backend ${line.name}: its thread ended`, 'EIO')
    const job = jobOf({ op: 'damage' })
    this.#scans.push({ line, thread: by, job })
    this.#dispatch()
    return { slice: (await job.promise) as DamageSlice, thread: by }
  }

  /** Close a backend in every thread. What waits for it fails. */
  detach(line: Line): void {
    line.closed = true
    this.#lines.delete(line.id)
    line.fail(detached(line))
    this.#ready = this.#ready.filter(lane => lane.of !== line)
    for (const { job } of this.#scans.filter(scan => scan.line === line)) job.failed(detached(line))
    this.#scans = this.#scans.filter(scan => scan.line !== line)
    for (const thread of this.#threads) thread.detach(line.id)
  }

  /** End all threads, whatever they are doing. */
  async end(): Promise<void> {
    this.#ended = true
    if (this.#growing) clearTimeout(this.#growing)
    if (this.#shrinking) clearTimeout(this.#shrinking)
    for (const line of this.#lines.values()) this.detach(line)
    await Promise.all(this.#threads.splice(0).map(thread => thread.end()))
  }

  /** Why nothing can be asked of a backend; null: it can. */
  #whyNot(line: Line): StoreError | null {
    if (line.closed || this.#ended) return detached(line)
    if (this.#settled && this.#threads.length === 0)
      return new StoreError('no thread of the pool is left: mount again', 'EIO')
    const isLost = line.bound && !this.#threads.some(({ has }) => has.has(line.id))
    return isLost ? replaced(line) : null
  }

  #start(): void {
    const thread: Thread = new Thread(
      () => this.#onFree(),
      why => this.#onEnd(thread, why),
    )
    this.#threads.push(thread)
  }

  #startOneMore(): void {
    try {
      this.#start()
    } catch (error) {
      // The others go on; and without any there is nothing to go on with.
      if (!isOutOfFiles(error) || this.#threads.length === 0) throw error
      this.#freed = performance.now()
    }
  }

  #onFree(): void {
    this.#freed = performance.now()
    this.#dispatch()
    if (this.#threads.length > fewest && !this.#settled)
      this.#shrinking ??= setTimeout(() => this.#shrink(), idleFor).unref()
  }

  #onEnd(thread: Thread, why: string): void {
    this.#threads = this.#threads.filter(other => other !== thread)
    // One more that cannot start, since descriptors are used up, is not missed by the others.
    const isSpare = !thread.started && this.#threads.length > 0 && isOutOfFiles(new Error(why))
    if (isSpare) this.#freed = performance.now()
    else this.log(`a thread of the pool ended: ${why}`)
    for (const { job } of this.#scans.filter(scan => scan.thread === thread))
      job.failed(new StoreError(`a thread of the pool ended: ${why}`, 'EIO'))
    this.#scans = this.#scans.filter(scan => scan.thread !== thread)
    for (const line of this.#lines.values()) {
      const why = this.#whyNot(line)
      if (why) line.fail(why)
    }
    this.#ready = this.#ready.filter(({ hasWork }) => hasWork)
    // Where threads cannot be started at all, it is tried again with the next question.
    if (!thread.started && this.#threads.length === 0)
      for (const lane of this.#ready.splice(0))
        lane.fail(new StoreError(`no thread of the pool can be started: ${why}`, 'EIO'))
    if (thread.started && !this.#settled && this.#threads.length < fewest) this.#start()
    this.#dispatch()
  }

  #makeReady(lane: Lane): void {
    lane.ready = performance.now()
    this.#ready.push(lane)
  }

  /** Give threads that are free something to do. */
  #dispatch(): void {
    if (this.#ended) return
    // First what no thread that is getting on with its work would come to: each then attaches its share only.
    this.#handOut(({ of: { last } }) => !last || last.idle || !this.#getsOn(last))
    this.#handOut(() => true)
    this.#growIfStuck()
    this.#scanIfFree()
  }

  #handOut(isDue: (lane: Lane) => boolean): void {
    let idle = this.#threads.filter(thread => thread.idle)
    for (const lane of idle.length ? this.#ready : []) {
      const thread = isDue(lane) ? this.#threadFor(lane, idle) : null
      if (!thread) continue
      this.#ready = this.#ready.filter(other => other !== lane)
      idle = idle.filter(other => other !== thread)
      const job = lane.next()
      if (job) void this.#do(lane, job, thread)
      if (idle.length === 0) break
    }
  }

  #getsOn({ ended, since }: Thread): boolean {
    return !ended && performance.now() - since < patience
  }

  /** Can only threads that have a backend serve it? Where descriptors are scarce, what others have is not opened twice. */
  #stays(line: Line): boolean {
    if (line.bound) return true
    const taken = this.#threads.reduce((sum, { has }) => sum + has.size, 0)
    // A source has one, and its lock another one later.
    const hasRoom = 2 * (taken + 1) + besides <= this.limit
    return !hasRoom && this.#threads.some(({ has }) => has.has(line.id))
  }

  /** Which of the free threads does a lane's next task; null: none does. */
  #threadFor({ of: line, slow }: Lane, idle: readonly Thread[]): Thread | null {
    const able = this.#stays(line) ? idle.filter(({ has }) => has.has(line.id)) : idle
    // The last one is for those who are quick.
    if (slow && idle.length === 1 && this.#threads.length > 1) return null
    return (
      able.find(thread => thread === line.last) ??
      able.find(({ has }) => has.has(line.id)) ??
      able[0] ??
      null
    )
  }

  async #do(lane: Lane, job: Job, thread: Thread): Promise<void> {
    const line = lane.of
    const { id, wanted } = line
    lane.since = performance.now()
    try {
      const reply = await thread.ask({ backend: id, wanted, task: job.task })
      lane.note(reply.took)
      if ('answer' in reply) {
        this.#note(line, thread, reply)
        job.done(reply.answer)
      } else if ('moved' in reply) this.#moved(line, lane, job)
      else {
        if (reply.attached) this.#note(line, thread, reply)
        job.failed(receivedError(reply.error))
      }
    } catch (error) {
      job.failed(error)
    }
    lane.since = 0
    if (lane.hasWork && !line.closed) this.#makeReady(lane)
    this.#onFree()
  }

  /** What a reply says of where a backend is attached. */
  #note(line: Line, thread: Thread, reply: Reply): void {
    if ('moved' in reply) line.bound = true
    else if ('error' in reply && !reply.attached) throw receivedError(reply.error)
    else {
      thread.has.add(line.id)
      line.last = thread
      // It was detached meanwhile.
      if (line.closed) thread.detach(line.id)
    }
  }

  #moved(line: Line, lane: Lane, job: Job): void {
    line.bound = true
    const why = this.#whyNot(line)
    if (why) job.failed(why)
    else lane.putBack(job)
  }

  /** Start a thread where work waits that the others do not get to. */
  #growIfStuck(): void {
    const next = this.#ready.find(({ of }) => !this.#stays(of))
    const isStarting = this.#threads.some(({ started }) => !started)
    if (!next || isStarting || this.#settled || this.#threads.length >= most) return
    const waited = performance.now() - Math.max(next.ready, this.#freed)
    // For the quick, while slow ones wait.
    const isKept = this.#threads.some(({ idle }) => idle)
    if (isKept || waited >= patience || this.#threads.length === 0) this.#startOneMore()
    else
      this.#growing ??= setTimeout(() => {
        this.#growing = null
        this.#growIfStuck()
      }, patience - waited)
  }

  #shrink(): void {
    this.#shrinking = null
    const since = performance.now() - idleFor
    for (const thread of this.#threads.slice(fewest))
      if (thread.idle && thread.since <= since && !this.#isNeeded(thread)) {
        this.#threads = this.#threads.filter(other => other !== thread)
        void thread.end()
      }
    if (this.#threads.length > fewest)
      this.#shrinking = setTimeout(() => this.#shrink(), idleFor).unref()
  }

  /** Does a thread have what no other could attach? */
  #isNeeded({ has }: Thread): boolean {
    return [...has].some(id => this.#lines.get(id)?.bound)
  }

  /** Zones are looked at while nobody waits, and a thread stays free for whoever comes. */
  #scanIfFree(): void {
    if (this.#ready.length > 0 || this.#threads.filter(({ idle }) => idle).length < 2) return
    const next = this.#scans.find(({ line, thread }) => thread.idle && line.look.since === 0)
    if (!next) return
    this.#scans = this.#scans.filter(scan => scan !== next)
    void this.#do(next.line.look, next.job, next.thread)
  }
}

const replaced = ({ name, wanted }: Line): StoreError =>
  new StoreError(
    `backend ${name}: ${wanted.candidate.source} is another file by now: read the config again (SIGHUP)`,
    'ESTALE',
  )

const detached = ({ name }: Line): StoreError =>
  new StoreError(`backend ${name}: is detached`, 'ESTALE')
