/** `pstorefs cat`: records' bytes on stdout, exactly as the mounted files have them. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import { recordsNamed, withSourceAndNames, type SourceAndNames } from './names.js'
import { attachSource } from './source.js'

export const cat: CommandModule<object, SourceAndNames> = {
  command: 'cat <source> <names..>',
  describe: "print records' bytes",
  builder: argv =>
    withSourceAndNames(argv).example('$0 cat dump.bin dmesg-ramoops-0 --record-size 64K', ''),
  handler: args => {
    const backend = attachSource(args, { readOnly: true })
    try {
      for (const record of recordsNamed(backend, args)) writeAll(backend.read(record))
    } finally {
      backend.close()
    }
  },
}

/** Write to stdout and wait for it: a pipe that is full makes write(2) say EAGAIN. */
const writeAll = (bytes: Buffer): void => {
  for (let done = 0; done < bytes.length;) {
    try {
      done += fs.writeSync(1, bytes, done)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') process.exit(0)
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
    }
  }
}
