/**
 * A process for benchmarks: prints numbered lines for ever, and notes in a file which it has printed.
 * Arguments: the file, and how many ms to wait between two.
 */
import fs from 'node:fs'

const [path, pause] = process.argv.slice(2)
const fd = fs.openSync(path, 'w')
const done = Buffer.alloc(8)
const sleeper = new Int32Array(new SharedArrayBuffer(4))
for (let n = 1; ; n++) {
  fs.writeSync(1, `line ${String(n).padStart(9, '0')}: ${'what was printed '.repeat(2)}\n`)
  done.writeBigUInt64LE(BigInt(n))
  fs.writeSync(fd, done, 0, 8, 0)
  if (Number(pause)) Atomics.wait(sleeper, 0, 0, Number(pause))
}
