/**
 * One target's loop, in a process of its own: change an input that was of use, run it, keep it where it
 * went somewhere new. Arguments: target, seconds, seed, file.
 *
 * Before each execution its number, and the input's length and bytes, are written to that file, so that
 * whoever watches has them where this process hangs or dies.
 */
import fs from 'node:fs'
import { register } from 'node:module'
import { setImmediate } from 'node:timers/promises'
import { StoreError } from '#src/pstore/errors.js'
import { Random } from '../random.js'
import { Counters } from './counters.js'
import { mutate } from './mutate.js'
import { loadTarget, targets } from './target.js'

/** What is sent to whoever watches. */
export interface Report {
  executions: number
  /** Statements and ways of branches, of those that there are. */
  reached: number
  total: number
  /** Inputs that went somewhere new. */
  kept: number
  finding: { reason: string; input: string } | null
}

const [name, seconds, seed, current] = process.argv.slice(2)
const dist = new URL('../../dist/', import.meta.url)
register('./instrument.js', {
  parentURL: import.meta.url,
  // An example explores itself.
  data: (targets[name] ?? ['../dist-test/fuzz/targets/example.']).map(
    prefix => new URL(prefix, dist).href,
  ),
})
// Nobody watches any more.
process.on('disconnect', () => process.exit())
const target = await loadTarget(name)
const counters = new Counters()
const random = new Random(Number(seed))
const longest = target.longest ?? 65536
const fd = fs.openSync(current, 'w')
const head = Buffer.alloc(8)
let executions = 0

/** What is wrong with an input; null: nothing. */
const execute = (input: Buffer): string | null => {
  head.writeUInt32LE(++executions % 2 ** 32, 0)
  head.writeUInt32LE(input.length, 4)
  fs.writevSync(fd, [head, input], 0)
  counters.reset()
  try {
    target.run(Buffer.from(input))
  } catch (error) {
    if (!(error instanceof StoreError)) return (error as Error).stack ?? String(error)
  }
  return null
}

/** Two that are one fault: what is said of it apart from numbers, and where it was thrown. */
const kindOf = (reason: string): string =>
  reason.split('\n    at ').slice(0, 2).join().replaceAll(/\d+/g, '')

/** Leave out of an input what the fault does not need, for a while. */
const minimise = (input: Buffer, reason: string): Buffer => {
  const kind = kindOf(reason)
  let least = input
  const end = performance.now() + 10_000
  for (let size = input.length >> 1; size > 0; size >>= 1)
    for (let at = 0; at < least.length && performance.now() < end;) {
      const shorter = Buffer.concat([least.subarray(0, at), least.subarray(at + size)])
      const other = execute(shorter)
      if (other !== null && kindOf(other) === kind) least = shorter
      else at += size
    }
  return least
}

const report = (finding: Report['finding']): void => {
  const { reached, total } = counters
  process.send!({ executions, reached, total, kept: corpus.length, finding } satisfies Report)
  process.disconnect()
}

const corpus: { input: Buffer; cost: number }[] = []
/** Of two inputs the cheaper, usually: more of those can be tried in a second. */
const pick = (): Buffer => {
  const [a, b] = [random.pick(corpus), random.pick(corpus)]
  return (random.below(4) === 0 || a.cost < b.cost ? a : b).input
}
// Short ones first: a longer one is only kept for what it adds.
const seeds = [Buffer.alloc(0), ...target.seeds()]
  .map(seed => seed.subarray(0, longest))
  .sort((a, b) => a.length - b.length)
const end = performance.now() + Number(seconds) * 1000
for (;;) {
  const input = seeds.shift() ?? mutate(random, pick(), pick(), target.words ?? [], longest)
  const reason = execute(input)
  if (reason !== null) {
    report({ reason, input: minimise(input, reason).toString('base64') })
    break
  }
  if (counters.isNew() || corpus.length === 0)
    corpus.push({ input: Buffer.from(input), cost: counters.cost })
  if (performance.now() > end && seeds.length === 0) {
    report(null)
    break
  }
  if (executions % 64 === 0) await setImmediate()
}
