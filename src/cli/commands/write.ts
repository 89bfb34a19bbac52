/** `pstorefs write`: append stdin to a ring, or store it as one dump. */
import type { CommandModule } from 'yargs'
import { Appender } from '../../frontends/appender.js'
import { dumpRoom, writeDump, type DumpOptions } from '../../frontends/dmesg.js'
import type { Backend } from '../../pstore/backend.js'
import { reasons, type Reason } from '../../pstore/dump.js'
import { StoreError } from '../../pstore/errors.js'
import type { RecordType } from '../../pstore/types.js'
import { inWords } from '../../native/words.js'
import { tell } from '../../service/log.js'
import { writableFor } from '../options/writable.js'
import { attachSources, withForce, withSources, type SourcesArgs } from '../options/source.js'

export const writableTypes = ['console', 'tty', 'pmsg', 'dmesg'] as const

interface Args extends SourcesArgs {
  force: boolean
  type: (typeof writableTypes)[number]
  reason: Reason | undefined
  compress: 'deflate' | 'none' | undefined
}

const details =
  'Reads stdin to its end. For console, tty and pmsg the text is appended to the ring as it comes; for dmesg ' +
  'it becomes one dump, as when Linux dies. A dump goes to the zone after the newest one (Linux starts with ' +
  'zone 0 after each boot). A text that is too long is cut to its end.'

export const write: CommandModule<object, Args> = {
  command: 'write <type> [source]',
  describe: 'append stdin to a ring, or store it as a dump',
  builder: argv =>
    withForce(withSources(argv))
      .usage(
        `$0 write TYPE SOURCE [options] < TEXT\n$0 write TYPE --backend NAMES [options] < TEXT\n\n${details}`,
      )
      .positional('type', {
        choices: writableTypes,
        demandOption: true,
        describe: 'the ring, or a dump',
      })
      .option('reason', {
        choices: reasons,
        requiresArg: true,
        describe: 'dmesg: the cause of the dump [panic]',
      })
      .option('compress', {
        choices: ['deflate', 'none'] as const,
        requiresArg: true,
        describe: 'dmesg: the compression of the text [deflate]',
      })
      .example('dmesg | $0 write console region.img', '')
      .example('$0 write dmesg region.img --reason oops < oops.txt', '')
      .example('$0 write tty --backend all --config guests.toml < session.txt', ''),
  handler: async args => {
    const { type, reason, compress } = args
    if (type !== 'dmesg' && (reason ?? compress) !== undefined)
      throw new StoreError(`--${reason ? 'reason' : 'compress'}: only for dmesg`)
    const backends = attachSources(args)
    try {
      // Refuse before stdin is read.
      const writable = writableFor(type, backends, args.source)
      const options = { ...(reason ? { reason } : {}), compress: compress !== 'none' }
      const errors =
        type === 'dmesg' ? await dumpStdin(writable, options) : await appendStdin(writable, type)
      const last = errors.pop()
      for (const { message } of errors) tell(message)
      if (last) throw last
    } finally {
      for (const backend of backends) backend.close()
    }
  },
}

/** Store stdin as a dump in every backend. Returns the errors of those that failed. */
const dumpStdin = async (writable: readonly Backend[], options: DumpOptions): Promise<Error[]> => {
  // Also of zones without room: what is wrong then is not that stdin is empty.
  const text = await readAll(standardInput(), Math.max(1, ...writable.map(dumpRoom)))
  if (text.length === 0) throw new StoreError('nothing on stdin: an empty dump cannot be stored')
  const errors: Error[] = []
  for (const backend of writable)
    try {
      writeDump(backend, text, options)
    } catch (error) {
      errors.push(error as Error)
    }
  return errors
}

/** Append stdin, as it comes, to a ring of every backend. Returns the errors of those that failed. */
const appendStdin = async (writable: readonly Backend[], type: RecordType): Promise<Error[]> => {
  const errors: Error[] = []
  // Only a write finds that a region is locked, or has no headers. An empty one finds it before stdin is read.
  const ready = writable.filter(backend => {
    try {
      backend.write({ type, bytes: Buffer.alloc(0) })
      return true
    } catch (error) {
      errors.push(error as Error)
      return false
    }
  })
  if (ready.length === 0) return errors
  const appender = new Appender(ready, type, { failed: (_, error) => errors.push(error) })
  let isEmpty = true
  for await (const bytes of standardInput()) {
    isEmpty = false
    appender.append(bytes)
    if (errors.length === writable.length) break
  }
  appender.flush()
  if (isEmpty) tell('nothing on stdin: nothing is written')
  return errors
}

/** Stdin's bytes as they come. */
async function* standardInput(): AsyncGenerator<Buffer, void, void> {
  try {
    yield* process.stdin as AsyncIterable<Buffer>
  } catch (error) {
    throw new StoreError(`stdin: cannot be read: ${inWords(error)}`, 'EIO')
  }
}

/** Read a stream of any length; returns its last bytes, at least `limit` of them. */
const readAll = async (stream: AsyncIterable<Buffer>, limit: number): Promise<Buffer> => {
  let tail = Buffer.alloc(0)
  for await (const bytes of stream) {
    tail = Buffer.concat([tail, bytes])
    if (tail.length > 2 * limit) tail = Buffer.from(tail.subarray(-limit))
  }
  return tail
}
