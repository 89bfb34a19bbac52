/** `pstorefs write`: stdin to a ring, or as one dump. */
import type { CommandModule } from 'yargs'
import { writeDump } from '../frontends/dmesg.js'
import { reasons, type Reason } from '../pstore/dump.js'
import { StoreError } from '../pstore/errors.js'
import { attachSource, withSource, type SourceArgs } from './source.js'

const types = ['console', 'tty', 'pmsg', 'dmesg'] as const

interface Args extends SourceArgs {
  type: (typeof types)[number]
  reason: Reason | undefined
  compress: 'deflate' | 'none' | undefined
}

const details =
  'Reads stdin to its end. console, tty and pmsg append it to the ring, as it comes; dmesg stores it as ' +
  'one dump, as Linux does when it dies. Dumps go to the zone after the newest one, where Linux starts ' +
  'again with number 0 after each boot; of a text that is too long the end is kept.'

export const write: CommandModule<object, Args> = {
  command: 'write <type> <source>',
  describe: 'append stdin to a ring, or store it as a dump',
  builder: argv =>
    withSource(argv)
      .usage(`$0 write TYPE SOURCE [options] < TEXT\n\n${details}`)
      .positional('type', { choices: types, demandOption: true, describe: 'where it goes' })
      .option('reason', { choices: reasons, describe: 'dmesg: why the machine died [panic]' })
      .option('compress', {
        choices: ['deflate', 'none'] as const,
        describe: 'dmesg: how the text is stored [deflate]',
      })
      .example('dmesg | $0 write console pstore.img --console-size 256K', '')
      .example('$0 write dmesg pstore.img --reason oops --record-size 64K < oops.txt', ''),
  handler: async args => {
    const { type, reason, compress } = args
    if (type !== 'dmesg' && (reason ?? compress) !== undefined)
      throw new StoreError(`--${reason ? 'reason' : 'compress'}: only a dmesg record has one`)
    const backend = attachSource(args, { map: true })
    try {
      // What cannot be written is said before stdin is read.
      if (backend.room(type) === 0)
        throw new StoreError(
          `${args.source}: has no ${type} zone: give it a size (${type === 'dmesg' ? 'record' : type}_size)`,
        )
      if (backend.readOnly) throw new StoreError(`${args.source}: cannot be written`, 'EROFS')
      if (type === 'dmesg') {
        const text = await readAll(process.stdin, 3 * backend.room(type))
        writeDump(backend, text, {
          ...(reason ? { reason } : {}),
          compress: compress !== 'none',
        })
      } else {
        backend.write({ type, bytes: Buffer.alloc(0) })
        for await (const bytes of process.stdin as AsyncIterable<Buffer>)
          backend.write({ type, bytes })
      }
    } finally {
      backend.close()
    }
  },
}

/** The last `limit` bytes of a stream, however long it is. */
const readAll = async (stream: AsyncIterable<Buffer>, limit: number): Promise<Buffer> => {
  let tail = Buffer.alloc(0)
  for await (const bytes of stream) {
    tail = Buffer.concat([tail, bytes])
    if (tail.length > 2 * limit) tail = Buffer.from(tail.subarray(-limit))
  }
  return tail
}
