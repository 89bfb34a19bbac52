/**
 * A short search with each target. SECONDS=n searches as long, SEED=n with that seed. Without, it is always
 * the same, so that a change is judged by what it changed; `scripts/fuzz` goes where none has been.
 */
import fs from 'node:fs'
import t from 'tap'
import { targets } from './target.js'
import { describe, fuzz } from './watch.js'

const seconds = Number(process.env.SECONDS ?? 3)
const seed = Number(process.env.SEED ?? 1)

// Two at a time: the machines that this runs on have as many processors.
t.jobs = 2

for (const name of Object.keys(targets))
  t.test(name, async t => {
    const outcome = await fuzz(name, seconds, seed)
    const said = describe(name, seed, outcome)
    t.comment(said)
    t.equal(outcome.finding?.reason, undefined, said)
    // Inputs lead on from one another, or the counters count nothing.
    t.ok(outcome.kept > 5 && outcome.reached > outcome.total / 4, said)
  })

t.test('what throws, hangs or dies is found', async t => {
  for (const [name, what] of [
    ['example-throws', /^Error: not a StoreError/],
    ['example-hangs', /^hangs/],
    ['example-dies', /^died: SIGABRT/],
  ] as const) {
    const { finding, file } = await fuzz(name, 300, seed)
    t.match(finding?.reason, what)
    t.equal(String(fs.readFileSync(file!).subarray(0, 3)), 'bug', `${name}: the input is kept`)
    fs.rmSync(file!)
  }
})
