/**
 * A process for tests: appends numbered lines to the console of a region for ever, each with one call,
 * and notes on stdout's file which it has finished. Arguments: the region, its options as JSON, a tag.
 */
import fs from 'node:fs'
import { attach, type AttachOptions } from '#src/index.js'

const [path, options, tag, pause] = process.argv.slice(2)
const backend = attach(path, { ...(JSON.parse(options) as AttachOptions), map: true })
const done = Buffer.alloc(8)
/** A line that tells whether it is whole: its number, and as many x as the number says. */
const line = (n: number): Buffer =>
  Buffer.from(`${tag}${String(n).padStart(8, '0')} ${'x'.repeat(n % 97)}.\n`)

for (let n = 1; ; n++) {
  backend.write({ type: 'console', bytes: line(n) })
  done.writeBigUInt64LE(BigInt(n))
  fs.writeSync(1, done, 0, 8, 0)
  if (pause) await new Promise(resolve => setTimeout(resolve, Number(pause)))
  // Let go of the lock now and then, as a program that waits for input does.
  else if (n % 16 === 0) await new Promise(resolve => setImmediate(resolve))
}
