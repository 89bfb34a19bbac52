/** `pstorefs tty --console --journal-tty`: keeping what others print, until a signal ends it. */
import fs from 'node:fs'
import path from 'node:path'
import { Appender } from '../frontends/appender.js'
import { Tee } from '../frontends/tty/tee.js'
import { consoleDevice } from '../frontends/tty/pty.js'
import { Listener } from '../frontends/tty/listener.js'
import type { Filter } from '../frontends/tty/filters.js'
import type { Backend } from '../pstore/backend.js'
import { StoreError } from '../pstore/errors.js'
import { tell } from './log.js'
import { notifyReady } from './notify.js'
import { dieOf, endings } from './signals.js'

interface What {
  console: boolean
  /** Where the link to journald's terminal is to be; null: there is none. */
  link: string | null
}

/**
 * Keep what is printed on the console, for the journal, or both.
 *
 * @returns the exit status, where all backends failed; a signal that ends it is died of
 */
export const keepLines = async (
  places: readonly Backend[],
  transforms: () => Filter[],
  { console, link }: What,
): Promise<number> => {
  let kept = places.length
  let fail: () => void
  const failed = new Promise<null>(resolve => (fail = () => resolve(null)))
  const appender = new Appender(places, 'tty', ({ name }, error) => {
    tell(`${name}: what is printed is kept no longer: ${error.message}`)
    // What goes through here goes through all the same: the console stays in use.
    if (--kept === 0 && !console) fail()
  })
  const ended = new Promise<NodeJS.Signals>(resolve => {
    for (const signal of endings) process.on(signal, resolve)
  })
  const closers: (() => void | Promise<void>)[] = []
  try {
    if (console) closers.push(takeConsole(appender, transforms()))
    // The last: who finds the link knows that all is kept.
    if (link !== null)
      closers.push(makeLink(new Listener(new Tee(appender, transforms(), () => true)), link))
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

/** Put a link to a terminal where journald looks for it; one that is there already is replaced. */
const makeLink = (line: Listener, link: string): (() => void) => {
  const temporary = `${link}.new`
  try {
    fs.mkdirSync(path.dirname(link), { recursive: true })
    const there = fs.lstatSync(link, { throwIfNoEntry: false })
    if (there && !there.isSymbolicLink()) throw new Error('there is something else')
    fs.rmSync(temporary, { force: true })
    fs.symlinkSync(line.name, temporary)
    fs.renameSync(temporary, link)
  } catch (error) {
    line.close()
    throw new StoreError(`${link}: cannot be made: ${(error as Error).message}`, 'EIO')
  }
  return () => {
    // Another one may have taken its place since.
    if (fs.readlinkSync(link) === line.name) fs.rmSync(link, { force: true })
    line.close()
  }
}

/** Take the console over, and pass on what is written to it. */
const takeConsole = (appender: Appender, transforms: readonly Filter[]): (() => Promise<void>) => {
  const device = consoleDevice()
  let screen: fs.WriteStream | null = null
  const keeper = new Tee(appender, transforms, bytes => screen?.write(bytes) ?? true)
  if (device === null)
    tell('/dev/console: /sys does not say where it is: it is kept, and shown to nobody')
  else {
    const failed = ({ message }: Error): void => {
      tell(`${device}: the console is kept, and not passed on: ${message}`)
      screen = null
    }
    try {
      const fd = fs.openSync(device, fs.constants.O_WRONLY | fs.constants.O_NOCTTY)
      screen = fs.createWriteStream(device, { fd })
      screen.on('error', error => {
        failed(error)
        keeper.release()
      })
      screen.on('drain', () => keeper.release())
    } catch (error) {
      failed(error as Error)
    }
  }
  const line = new Listener(keeper)
  try {
    line.takeConsole()
  } catch (error) {
    line.close()
    throw error
  }
  return async () => {
    line.close()
    if (screen) await new Promise(resolve => screen!.end(resolve))
  }
}
