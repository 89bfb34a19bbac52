/** `pstorefs console`: the kernel's log, as its console prints it, kept in the console zone. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { seekSync } from 'fs-ext'
import type { CommandModule } from 'yargs'
import { Appender } from '../../frontends/appender.js'
import { KernelConsole, parseMessage } from '../../frontends/kmsg.js'
import { StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import { notifyReady } from '../../service/notify.js'
import { writableFor } from '../options/writable.js'
import { dieOf, endings } from '../../service/signals.js'
import { attachSources, withSources, type SourcesArgs } from '../options/source.js'

interface Args extends SourcesArgs {
  new: boolean
  level: string | undefined
}

const device = '/dev/kmsg'
/** More than any record takes. */
const longestRecord = 65536
/** How many records are gathered for one append. */
const most = 512
/** How long to wait between two looks, in ms: after messages, and at most. */
const shortest = 2
const longest = 32

/** Each name's level. */
const levels = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug']

const details =
  'Follows /dev/kmsg until it is ended, and appends the messages as the kernel prints them on its ' +
  'console: all that its log still holds, and then what is new. Where the log was written faster than it ' +
  'could be read, a line says how many messages are missing, as the kernel does.'

export const kernelConsole: CommandModule<object, Args> = {
  command: 'console [source]',
  describe: "keep the kernel's console (/dev/kmsg)",
  builder: argv =>
    withSources(argv)
      .usage(`$0 console SOURCE [options]\n$0 console --backend NAMES [options]\n\n${details}`)
      .option('new', {
        type: 'boolean',
        default: false,
        describe: 'only messages that come from now on',
      })
      .option('level', {
        type: 'string',
        requiresArg: true,
        describe: `only messages of a lower level than this number, as loglevel= has it; or of a name's and lower: ${levels.join(', ')} [all]`,
      })
      .example('$0 console pstore.img --console-size 256K', '')
      .example('$0 console --backend all --new --level warn', ''),
  handler: async args => {
    const lines = new KernelConsole(loglevelOf(args.level), args.new ? null : 0n)
    const backends = attachSources(args)
    try {
      const places = writableFor('console', backends, args.source)
      const log = openLog(args.new)
      let kept = places.length
      const appender = new Appender(places, 'console', ({ name }, error) => {
        kept--
        tell(`${name}: the console is kept no longer: ${error.message}`)
      })
      let ending: NodeJS.Signals | null = null
      const wake = new AbortController()
      notifyReady("keeping the kernel's console")
      for (const signal of endings)
        process.on(signal, () => {
          ending = signal
          wake.abort()
        })
      for (let pause = shortest; kept > 0; pause = Math.min(2 * pause, longest)) {
        const { text, more } = readLog(log, lines)
        if (text.length > 0) {
          appender.append(text)
          appender.settle()
          pause = shortest
        }
        if (more) await new Promise(setImmediate)
        else if (ending) break
        else await sleep(pause, undefined, { signal: wake.signal }).catch(() => {})
      }
      appender.append(lines.end())
      appender.flush()
      if (ending) dieOf(ending)
      if (kept === 0) process.exit(1)
    } finally {
      for (const backend of backends) backend.close()
    }
  },
}

/** The loglevel that `--level` means: everything where it is not given. */
const loglevelOf = (level: string | undefined): number => {
  if (level === undefined) return levels.length
  const named = levels.indexOf(level === 'warning' ? 'warn' : level === 'error' ? 'err' : level)
  if (named >= 0) return named + 1
  if (!/^[0-8]$/.test(level))
    throw new StoreError(`--level '${level}': must be 0 to 8, or one of ${levels.join(', ')}`)
  return Number(level)
}

/** Open the kernel's log, at its start or its end. */
const openLog = (atEnd: boolean): number => {
  try {
    const fd = fs.openSync(device, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    if (atEnd) seekSync(fd, 0, 2)
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

/** What the log has that is new, as text; `more`: perhaps not all of it. */
const readLog = (log: number, lines: KernelConsole): { text: Buffer; more: boolean } => {
  const parts: Buffer[] = []
  for (let n = 0; n < most; n++) {
    try {
      const message = parseMessage(record.subarray(0, fs.readSync(log, record)))
      if (message) parts.push(lines.print(message))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') return { text: Buffer.concat(parts), more: false }
      // EPIPE: what comes next was overwritten; its number tells how much is missing.
      if (code !== 'EPIPE' && code !== 'EINTR')
        throw new StoreError(`${device}: cannot be read: ${code}`, 'EIO')
    }
  }
  return { text: Buffer.concat(parts), more: true }
}
