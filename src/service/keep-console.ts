/** `pstorefs tty --console --journal-tty`: keep the output of other programs, until a signal ends it. */
import fs from 'node:fs'
import path from 'node:path'
import { Appender } from '../frontends/appender.js'
import { Tee } from '../frontends/tty/tee.js'
import { consoleDevice } from '../frontends/tty/pty.js'
import { Listener } from '../frontends/tty/listener.js'
import type { Filter } from '../frontends/tty/filters.js'
import { dieOf, endings } from '../native/signals.js'
import { inWords } from '../native/words.js'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { keepingOf } from './keeping.js'
import { tell } from './log.js'
import { notifyReady } from './notify.js'

interface Kept {
  console: boolean
  /** The path of the link to journald's terminal; null: no such terminal. */
  link: string | null
}

/**
 * Keep the output to the console, to the journal's terminal, or to both. Ends by a signal, which it dies of.
 *
 * @returns the exit status once all backends have failed
 */
export const keepLines = async (
  writable: readonly Backend[],
  filters: () => Filter[],
  { console, link }: Kept,
): Promise<number> => {
  let working = writable.length
  let fail: () => void
  const failed = new Promise<null>(resolve => (fail = () => resolve(null)))
  const told = keepingOf('output', tell, () => {
    // The console's output must pass on, even when none of it is kept.
    if (--working === 0 && !console) fail()
  })
  const appender = new Appender(writable, 'tty', told)
  const ended = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of endings) process.on(signal, resolve)
  })
  const closers: (() => void | Promise<void>)[] = []
  try {
    if (console) closers.push(takeConsole(appender, filters()))
    // The link comes last: its presence tells that all output is kept.
    if (link !== null)
      closers.push(makeLink(new Listener(new Tee(appender, filters(), () => true)), link))
    notifyReady(`keeping ${[console ? 'the console' : [], link ?? []].flat().join(' and ')}`)
    const signal = await Promise.race([ended, failed])
    for (const close of closers.splice(0)) await close()
    appender.flush()
    if (signal) dieOf(signal)
    return 1
  } finally {
    for (const close of closers) await close()
  }
}

/** Put a link to a terminal where journald looks for it. An existing link is replaced. */
const makeLink = (listener: Listener, link: string): (() => void) => {
  const temporary = `${link}.new`
  try {
    fs.mkdirSync(path.dirname(link), { recursive: true })
    const there = fs.lstatSync(link, { throwIfNoEntry: false })
    if (there && !there.isSymbolicLink()) throw new Error('a file that is no link is there')
    fs.rmSync(temporary, { force: true })
    fs.symlinkSync(listener.name, temporary)
    fs.renameSync(temporary, link)
  } catch (error) {
    listener.close()
    throw new StoreError(`${link}: cannot be made: ${inWords(error)}`, 'EIO')
  }
  return () => {
    try {
      // Another process may have replaced the link since.
      if (fs.readlinkSync(link) === listener.name) fs.rmSync(link)
    } catch {
      // Or removed it. What was printed to the terminal is kept all the same.
    }
    listener.close()
  }
}

/** Take the console over, and pass its output on to the screen. */
const takeConsole = (appender: Appender, filters: readonly Filter[]): (() => Promise<void>) => {
  const device = consoleDevice()
  let screen: fs.WriteStream | null = null
  const tee = new Tee(appender, filters, bytes => screen?.write(Buffer.from(bytes)) ?? true)
  if (device === null)
    tell('/dev/console: output is kept but not shown: /sys does not tell the device')
  else {
    const failed = ({ message }: Error): void => {
      tell(`${device}: console output is kept but not shown: ${message}`)
      screen = null
    }
    try {
      const fd = fs.openSync(device, fs.constants.O_WRONLY | fs.constants.O_NOCTTY)
      screen = fs.createWriteStream(device, { fd })
      screen.on('error', error => {
        failed(error)
        tee.release()
      })
      screen.on('drain', () => tee.release())
    } catch (error) {
      failed(error as Error)
    }
  }
  const listener = new Listener(tee)
  try {
    listener.takeConsole()
  } catch (error) {
    listener.close()
    throw error
  }
  return async () => {
    listener.close()
    if (screen) await new Promise(resolve => screen!.end(resolve))
  }
}
