/** `pstorefs console`: keep the kernel's log, as its console prints it, in the console zone. */
import { inWords } from '../../native/words.js'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandModule } from 'yargs'
import { Appender } from '../../frontends/appender.js'
import { KernelConsole, parseMessage } from '../../frontends/kmsg.js'
import { StoreError } from '../../pstore/errors.js'
import { keepingOf } from '../../service/keeping.js'
import { tell } from '../../service/log.js'
import { notifyReady } from '../../service/notify.js'
import { levels } from '../options/levels.js'
import { writableFor } from '../options/writable.js'
import { libc } from '../../native/libc.js'
import { dieOf, endings } from '../../native/signals.js'
import { attachSources, withForce, withSources, type SourcesArgs } from '../options/source.js'

interface Args extends SourcesArgs {
  force: boolean
  new: boolean
  level: string | undefined
}

const device = '/dev/kmsg'
const SEEK_END = 2
/** Bytes; no record takes more. */
const longestRecord = 65536
/** The most records for one append. */
const most = 512
/** Milliseconds between two looks: after messages, and at most. */
const shortest = 2
const longest = 32

const details =
  'Follows /dev/kmsg until a signal ends it, and appends the messages as the kernel prints them on its ' +
  'console: first all that the log still holds, then new ones. Where the kernel logs faster than the log is ' +
  'read, a line tells the number of missing messages, as the kernel does.'

export const kernelConsole: CommandModule<object, Args> = {
  command: 'console [source]',
  describe: "keep the kernel's console (/dev/kmsg)",
  builder: argv =>
    withForce(withSources(argv))
      .usage(`$0 console SOURCE [options]\n$0 console --backend NAMES [options]\n\n${details}`)
      .option('new', {
        type: 'boolean',
        default: false,
        describe: 'keep only new messages',
      })
      .option('level', {
        type: 'string',
        requiresArg: true,
        describe: `keep only messages below this number, as loglevel= does; or up to this name: ${levels.join(', ')} [all]`,
      })
      .example('$0 console region.img', '')
      .example('$0 console --backend all --new --level warn', ''),
  handler: async args => {
    const lines = new KernelConsole(loglevelOf(args.level), args.new ? null : 0n)
    const backends = attachSources(args)
    try {
      const writable = writableFor('console', backends, args.source)
      const log = openLog(args.new)
      let working = writable.length
      const told = keepingOf('the console', tell, () => working--)
      const appender = new Appender(writable, 'console', told)
      let ending: NodeJS.Signals | null = null
      const wake = new AbortController()
      notifyReady("keeping the kernel's console")
      for (const signal of endings)
        process.on(signal, () => {
          ending = signal
          wake.abort()
        })
      for (let pause = shortest; working > 0; pause = Math.min(2 * pause, longest)) {
        const { text, more } = readLog(log, lines)
        if (text.length > 0) {
          appender.store(text)
          pause = shortest
        }
        if (more) await new Promise(setImmediate)
        else if (ending) break
        else await sleep(pause, undefined, { signal: wake.signal }).catch(() => {})
      }
      appender.append(lines.end())
      appender.flush()
      if (ending) dieOf(ending)
      if (working === 0) process.exit(1)
    } finally {
      for (const backend of backends) backend.close()
    }
  },
}

/** The loglevel that `--level` means; without it, that of all messages. */
const loglevelOf = (level: string | undefined): number => {
  if (level === undefined) return levels.length
  const wanted = level === 'warning' ? 'warn' : level === 'error' ? 'err' : level
  const named = levels.findIndex(known => known === wanted)
  if (named >= 0) return named + 1
  if (!/^[0-8]$/.test(level))
    throw new StoreError(`--level '${level}': must be 0 to 8, or one of ${levels.join(', ')}`)
  return Number(level)
}

/** Open the kernel's log, at its start or its end. */
const openLog = (atEnd: boolean): number => {
  try {
    const fd = fs.openSync(device, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    if (atEnd) libc().lseek(fd, 0, SEEK_END)
    return fd
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const denied = code === 'EPERM' || code === 'EACCES'
    throw new StoreError(
      `${device}: ${denied ? 'permission denied: only root may read it' : message}`,
      denied ? 'EACCES' : 'EIO',
    )
  }
}

const record = Buffer.allocUnsafe(longestRecord)

/** The log's new messages as text; `more` is true where there may be further ones. */
const readLog = (log: number, lines: KernelConsole): { text: Buffer; more: boolean } => {
  const parts: Buffer[] = []
  for (let n = 0; n < most; n++) {
    try {
      const message = parseMessage(record.subarray(0, fs.readSync(log, record)))
      if (message) parts.push(lines.print(message))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') return { text: Buffer.concat(parts), more: false }
      // EPIPE: messages were overwritten; the next one's number tells how many.
      if (code !== 'EPIPE' && code !== 'EINTR')
        throw new StoreError(`${device}: cannot be read: ${inWords(error)}`, 'EIO')
    }
  }
  return { text: Buffer.concat(parts), more: true }
}
