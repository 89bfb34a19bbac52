/** The records of a backend that the pool's threads look into. */
import { ftraceText } from '../../attach.js'
import type { RecordFacts } from '../../pstore/backend.js'
import type { FtraceText } from '../../pstore/ftrace.js'
import { Patience } from '../../pstore/patience.js'
import type { CrashFacts, Snapshot } from '../../pstore/records.js'
import type { Soon } from '../../pstore/soon.js'
import { parseFileName, type Identity } from '../../pstore/types.js'
import { logOnce } from '../log.js'
import type { Served } from '../served.js'
import type { Line } from './lane.js'
import {
  receivedContent,
  type Answers,
  type Attachment,
  type DamageSlice,
  type Task,
} from './messages.js'
import type { Thread } from './thread.js'

/** The pool, as a backend asks it; pool.ts says more. */
interface Office {
  ask<T extends Task>(line: Line, task: T): Promise<Answers[T['op']]>
  scan(line: Line, thread: Thread | null): Promise<{ slice: DamageSlice; thread: Thread }>
  detach(line: Line): void
}

export class PooledBackend implements Served {
  readonly name: string
  readonly readOnly: boolean
  readonly identity: Identity
  #text: FtraceText | null = null
  readonly #patience = new Patience()

  /** Made by `Pool.attach`. @throws StoreError where kallsyms has no symbols */
  constructor(
    readonly pool: Office,
    readonly line: Line,
    { readOnly, identity }: Attachment,
  ) {
    const { name, options } = line.wanted.candidate
    this.name = name
    this.readOnly = readOnly
    this.identity = identity
    // Whoever serves may not be permitted to read it later.
    if (options.kallsyms !== undefined) this.#text = ftraceText(options.kallsyms)
  }

  async names(): Promise<string[]> {
    const { names, unreadable } = await this.pool.ask(this.line, { op: 'names' })
    for (const { name, line } of unreadable) logOnce('warning', name, line)
    return names
  }

  find(name: string): Soon<RecordFacts | null> {
    return this.#isOwn(name) ? this.pool.ask(this.line, { op: 'find', name }) : null
  }

  open(name: string): Soon<Snapshot | null> {
    return this.#isOwn(name) ? this.#patience.open(alone => this.#open(name, alone)) : null
  }

  crash(name: string): Soon<CrashFacts | null> {
    return this.pool.ask(this.line, { op: 'crash', name })
  }

  async #open(name: string, alone: boolean): Promise<Snapshot | null> {
    const opened = await this.pool.ask(this.line, { op: 'open', name, alone })
    if (!opened) return null
    const { record, content } = opened
    return { record, content: receivedContent(content, () => this.#ftraceText()) }
  }

  erase(record: RecordFacts): Soon<boolean> {
    return this.#patience.erase(() => this.pool.ask(this.line, { op: 'erase', record }))
  }

  doubts(): Promise<string[]> {
    return this.pool.ask(this.line, { op: 'doubts' })
  }

  /** While the pool has nothing else to do. */
  async *damage(): AsyncGenerator<string, void, void> {
    let thread: Thread | null = null
    for (let done = false; !done;) {
      const scanned = await this.pool.scan(this.line, thread)
      thread = scanned.thread
      done = scanned.slice.done
      yield* scanned.slice.lines
    }
  }

  /** What waits for it fails. */
  close(): void {
    this.pool.detach(this.line)
  }

  /** Could a file of this backend's have that name? No thread is asked for one that could not. */
  #isOwn(name: string): boolean {
    return parseFileName(name, this.identity.hasNames ? null : this.name) !== null
  }

  #ftraceText(): FtraceText {
    return (this.#text ??= ftraceText(undefined))
  }
}
