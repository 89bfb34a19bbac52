/** One thread of the pool: it attaches what it is asked for, and does one task at a time. */
import { parentPort } from 'node:worker_threads'
import { parseSource } from '../../attach.js'
import { letGo } from '../../native/collect.js'
import { isOutOfFiles } from '../../native/descriptors.js'
import type { Backend } from '../../pstore/backend.js'
import { sentError } from '../../pstore/errors.js'
import { describeUnreadable } from '../../pstore/unreadable.js'
import { recordsOf, type Records } from '../../pstore/records.js'
import { neverWait, openLocks } from '../../region/lock.js'
import { attachAs, fileOf } from '../attach-as.js'
import { damageOf } from '../damage.js'
import { allDoubtsOf } from '../doubts.js'
import {
  factsOf,
  sentContent,
  type Answer,
  type DamageSlice,
  type Listing,
  type Message,
  type Reply,
  type Task,
  type Wanted,
} from './messages.js'

/** For how long zones are looked at before others have their turn, in ms; one zone can take longer. */
const sliceLength = 20

/** A backend that this thread has attached. */
interface Held {
  readonly backend: Backend
  readonly records: Records
  /** What the listing that is being made leaves out. */
  readonly unreadable: Listing['unreadable'][number][]
  readonly file: string
  readonly lines: readonly string[]
  damage: Generator<string | null, void, void> | null
}

const held = new Map<number, Held>()

/** @returns null where another file has taken the place of the one that was attached first, or this thread cannot open it */
const attached = (id: number, { candidate, how, file }: Wanted): Held | null => {
  const known = held.get(id)
  if (known) return known
  const found = fileOf(parseSource(candidate.source).path)
  if (file !== null && file !== found) return null
  const lines: string[] = []
  // The pool makes ftrace's text, so that no thread but its own has the symbols.
  const { kallsyms: _, ...options } = candidate.options
  let backend: Backend
  try {
    backend = attachAs({ ...candidate, options }, how, line => lines.push(line))
  } catch (error) {
    // Descriptors are scarce: one of the threads that have it serves it.
    if (file !== null && isOutOfFiles(error)) return null
    throw error
  }
  const unreadable: Listing['unreadable'][number][] = []
  const records = recordsOf(backend, what =>
    unreadable.push({ name: what.name, line: describeUnreadable(what) }),
  )
  const fresh = { backend, records, unreadable, file: found, lines, damage: null }
  held.set(id, fresh)
  return fresh
}

const lookForDamage = (of: Held): DamageSlice => {
  of.damage ??= damageOf(of.backend)
  const lines: string[] = []
  const end = performance.now() + sliceLength
  do {
    const { value, done } = of.damage.next()
    if (done) return { lines, done }
    if (value !== null) lines.push(value)
  } while (performance.now() < end)
  return { lines, done: false }
}

/** The answer to a task, and what of it can be transferred. */
const answer = async (of: Held, task: Task): Promise<[Answer, ArrayBuffer[]]> => {
  const { backend, records } = of
  switch (task.op) {
    case 'attach':
      return [
        {
          readOnly: backend.readOnly,
          identity: backend.identity,
          file: of.file,
          lines: of.lines,
        },
        [],
      ]
    case 'names': {
      // One that failed has said why.
      of.unreadable.length = 0
      const names = await records.names()
      return [{ names, unreadable: [...of.unreadable] }, []]
    }
    case 'find': {
      const record = await records.find(task.name)
      return [record && factsOf(record), []]
    }
    case 'open': {
      const snapshot = await records.open(task.name, task.alone)
      if (!snapshot) return [null, []]
      const [content, transfer] = sentContent(snapshot.content)
      // What it was made of stays here.
      letGo(snapshot.record.size)
      return [{ record: factsOf(snapshot.record), content }, transfer]
    }
    case 'crash': {
      const { whatCrashed } = await import('../what-crashed.js')
      return [whatCrashed(backend, task.name), []]
    }
    case 'erase':
      return [await records.erase(task.record), []]
    case 'doubts':
      return [allDoubtsOf(backend), []]
    case 'damage':
      return [lookForDamage(of), []]
  }
}

const parent = parentPort
if (!parent) throw new Error('service/pool/worker.js is started by the pool, as a thread')
// Others are served meanwhile: the pool asks again later.
neverWait()

const replyTo = async (
  message: Exclude<Message, { detach: number }>,
): Promise<[Reply, ArrayBuffer[]]> => {
  const start = performance.now()
  const took = (): number => performance.now() - start
  try {
    if ('locks' in message) {
      openLocks()
      return [{ took: took(), answer: true }, []]
    }
    const of = attached(message.backend, message.wanted)
    if (!of) return [{ took: took(), moved: true }, []]
    const [found, transfer] = await answer(of, message.task)
    return [{ took: took(), answer: found }, transfer]
  } catch (error) {
    const isAttached = 'backend' in message && held.has(message.backend)
    return [{ took: took(), error: sentError(error), attached: isAttached }, []]
  }
}

parent.on('message', (message: Message) => {
  if ('detach' in message) {
    held.get(message.detach)?.backend.close()
    held.delete(message.detach)
  } else void replyTo(message).then(([reply, transfer]) => parent.postMessage(reply, transfer))
})
neverWait()
// The first says that the thread is there.
parent.postMessage({ took: performance.now(), answer: true } satisfies Reply)
