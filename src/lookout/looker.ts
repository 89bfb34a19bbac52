/** A thread of the lookout: it looks after some backends, one after the other. */
import { parentPort, workerData } from 'node:worker_threads'
import { Keeper, type Reports } from './keeper.js'
import { busyWith, over, turns, type Begin, type Order, type Report } from './messages.js'
import { ArchiveTurn } from './turn.js'

const parent = parentPort
if (!parent) throw new Error('lookout/looker.js is started by the lookout, as a thread')
const { dir, how, flags } = workerData as Begin

/** For how long backends have their turns in a row, and others nothing of the archive, in ms. */
const longestRun = 200

const report = (report: Report): void => parent.postMessage(report)
const archive = new ArchiveTurn(dir, tell => report({ id: 0, tell }))
const isOver = (): boolean => Atomics.load(flags, over) !== 0

const reportsOf = (id: number): Reports => ({
  say: (folder, what) => report({ id, say: [folder, what] }),
  tell: tell => report({ id, tell }),
  note: note => report({ id, note }),
  made: made => report({ id, made }),
  state: records => report({ id, records }),
  calm: () => report({ id, calm: true }),
  isOver,
})

const keepers = new Map<number, Keeper>()
let timer: NodeJS.Timeout | null = null

const run = (): void => {
  timer = null
  const begun = performance.now()
  try {
    // Whoever has waited longest comes first: one that takes its time holds nobody off for ever.
    const due = [...keepers].filter(([, keeper]) => keeper.due <= begun)
    for (const [id, keeper] of due.toSorted(([, a], [, b]) => a.due - b.due)) {
      if (isOver() || performance.now() - begun > longestRun) break
      Atomics.store(flags, busyWith, id)
      keeper.turn()
      Atomics.add(flags, turns, 1)
    }
  } finally {
    Atomics.store(flags, busyWith, 0)
    archive.end()
  }
  wait()
}

/** Until the next turn is due. */
const wait = (): void => {
  if (timer) clearTimeout(timer)
  timer = null
  if (isOver()) process.exit()
  let due = Infinity
  for (const keeper of keepers.values()) due = Math.min(due, keeper.due)
  if (due < Infinity) timer = setTimeout(run, Math.max(0, due - performance.now()))
}

parent.on('message', (order: Order) => {
  if ('take' in order)
    for (const { id, candidate } of order.take)
      keepers.set(id, new Keeper(candidate, how, archive, reportsOf(id)))
  else
    for (const id of order.drop) {
      keepers.get(id)?.close()
      keepers.delete(id)
    }
  wait()
})
