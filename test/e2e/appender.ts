/**
 * A process for tests: appends numbered lines to the console of a region for ever, each with one call,
 * and notes in stdout's file how many it has finished. Arguments: the region, its options as JSON, a tag.
 */
import fs from 'node:fs'
import { attach, type AttachOptions } from '#src/index.js'
import { mapBytes } from '#src/region/map.js'
import { lineOf } from '../lines.js'

const [path, options, tag, pause] = process.argv.slice(2)
// Between two appends, where SIGKILL ends it in one.
process.on('SIGTERM', () => process.exit())
const backend = attach(path, { ...(JSON.parse(options) as AttachOptions), map: true })
// A system call for each line would take longer than the append, and be where a kill finds it.
fs.ftruncateSync(1, 8)
const { buffer, byteOffset } = mapBytes(1, 0, 8, false)
const done = new BigUint64Array(buffer, byteOffset, 1)

for (let n = 1; ; n++) {
  backend.write({ type: 'console', bytes: lineOf(tag, n) })
  done[0] = BigInt(n)
  if (pause) await new Promise(resolve => setTimeout(resolve, Number(pause)))
  // Let go of the lock now and then, as a program that waits for input does.
  else if (n % 16 === 0) await new Promise(resolve => setImmediate(resolve))
}
