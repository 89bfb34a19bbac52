/** `pstorefs write`: stdin to a ring, or as one dump. */
import type { CommandModule } from 'yargs'
import { Appender } from '../../frontends/appender.js'
import { dumpRoom, writeDump } from '../../frontends/dmesg.js'
import type { Backend } from '../../pstore/backend.js'
import { reasons, type Reason } from '../../pstore/dump.js'
import { StoreError } from '../../pstore/errors.js'
import { writeToAll } from '../../pstore/select.js'
import { writableFor } from '../options/writable.js'
import { attachSources, withSources, type SourcesArgs } from '../options/source.js'

export const writableTypes = ['console', 'tty', 'pmsg', 'dmesg'] as const

interface Args extends SourcesArgs {
  type: (typeof writableTypes)[number]
  reason: Reason | undefined
  compress: 'deflate' | 'none' | undefined
}

const details =
  'Reads stdin to its end. console, tty and pmsg append it to the ring, as it comes; dmesg stores it as ' +
  'one dump, as Linux does when it dies. Dumps go to the zone after the newest one, where Linux starts ' +
  'again with number 0 after each boot; of a text that is too long the end is kept.'

export const write: CommandModule<object, Args> = {
  command: 'write <type> [source]',
  describe: 'append stdin to a ring, or store it as a dump',
  builder: argv =>
    withSources(argv)
      .usage(
        `$0 write TYPE SOURCE [options] < TEXT\n$0 write TYPE --backend NAMES [options] < TEXT\n\n${details}`,
      )
      .positional('type', { choices: writableTypes, demandOption: true, describe: 'where it goes' })
      .option('reason', { choices: reasons, describe: 'dmesg: why the machine died [panic]' })
      .option('compress', {
        choices: ['deflate', 'none'] as const,
        describe: 'dmesg: how the text is stored [deflate]',
      })
      .example('dmesg | $0 write console pstore.img --console-size 256K', '')
      .example('$0 write dmesg pstore.img --reason oops --record-size 64K < oops.txt', '')
      .example('$0 write tty --backend all --config guests.toml < session.txt', ''),
  handler: async args => {
    const { type, reason, compress } = args
    if (type !== 'dmesg' && (reason ?? compress) !== undefined)
      throw new StoreError(`--${reason ? 'reason' : 'compress'}: only a dmesg record has one`)
    const backends = attachSources(args)
    try {
      // What cannot be written is said before stdin is read.
      const places = writableFor(type, backends, args.source)
      if (type === 'dmesg') {
        const text = await readAll(process.stdin, Math.max(...places.map(dumpRoom)))
        const options = { ...(reason ? { reason } : {}), compress: compress !== 'none' }
        writeToAll(places, type, backend => {
          writeDump(backend, text, options)
          return text.length
        })
      } else await appendStdin(type, places)
    } finally {
      for (const backend of backends) backend.close()
    }
  },
}

/** Append stdin, as it comes, to every place; one that fails does not stop the others. */
const appendStdin = async (type: Args['type'], places: readonly Backend[]): Promise<void> => {
  const errors: Error[] = []
  for (const backend of places) backend.write({ type, bytes: Buffer.alloc(0) })
  const appender = new Appender(places, type, (_, error) => errors.push(error))
  for await (const bytes of process.stdin as AsyncIterable<Buffer>) {
    appender.append(bytes)
    if (errors.length === places.length) break
  }
  appender.flush()
  if (errors.length) throw errors[0]
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
