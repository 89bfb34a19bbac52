/** scripts/fuzz TARGET|all [--seconds N] [--seed S] */
import { parseArgs } from 'node:util'
import { targets } from './target.js'
import { describe, fuzz } from './watch.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string' }, seed: { type: 'string' } },
})
const [name] = positionals
const seconds = Number(values.seconds ?? 60)
const first = Number(values.seed ?? Date.now() % 2 ** 31)
if (
  positionals.length !== 1 ||
  !(name in targets || name === 'all') ||
  !(seconds > 0) ||
  !Number.isInteger(first)
) {
  console.error(
    `usage: scripts/fuzz TARGET|all [--seconds N] [--seed S]\nTARGET: ${Object.keys(targets).join(', ')}`,
  )
  process.exit(2)
}
for (const target of name === 'all' ? Object.keys(targets) : [name]) {
  const outcome = await fuzz(target, seconds, first)
  console.log(describe(target, first, outcome))
  if (outcome.finding) process.exitCode = 1
}
