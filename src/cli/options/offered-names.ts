/** Names for a shell to complete, of what stands on a line that is not finished yet: records, backends. */
import fs from 'node:fs'
import os from 'node:os'
import { Worker } from 'node:worker_threads'
import { attach, parseSource } from '../../attach.js'
import { StoreError } from '../../pstore/errors.js'
import { parameters, parametersOf } from './parameters.js'
import { findConfig, findSource } from './source.js'

/** Bytes that are searched for a region while somebody waits for a completion. */
const probeLimit = 2 ** 26
/** Milliseconds after which there are no names: whoever typed goes on typing. */
const patience = 2000

const dashed = (name: string): string => name.replaceAll('_', '-')

/** Options besides the parameters that are followed by their value. */
const others =
  'config backend since until grep n timeout level reason compress svg attach subdirs o options otlp textfile ' +
  'keep-last max-size max-age'
const takesValue = new Set([...Object.keys(parameters).map(dashed), ...others.split(' ')])

interface Line {
  readonly positionals: readonly string[]
  readonly options: { readonly [name: string]: string | undefined }
}

const read = (words: readonly string[]): Line => {
  const positionals: string[] = []
  const options: { [name: string]: string } = {}
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const [, given, value] = /^--?([a-z_-]+)(?:=(.*))?$/s.exec(word) ?? []
    const name = dashed(given ?? '')
    if (given === undefined) {
      if (!word.startsWith('-')) positionals.push(word)
    } else if (value !== undefined) options[name] = value
    else if (takesValue.has(name)) options[name] = words[++i] ?? ''
  }
  return { positionals, options }
}

/** What can be found out; nothing where something is wrong with the line: its command will say what. */
const ifKnown = (find: () => string[]): string[] => {
  try {
    return find()
  } catch (error) {
    if (error instanceof StoreError || (error as NodeJS.ErrnoException).syscall) return []
    throw error
  }
}

/** End this process after a while, whatever it is at then. */
const endLater = (): void => {
  const code = `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${patience})`
  new Worker(code, { eval: true }).unref()
}

/** Nobody waits for a device, a pipe or standard input. */
const isQuick = (path: string): boolean => {
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  return stat !== undefined && (stat.isFile() || stat.isDirectory())
}

/**
 * The names of the records, or of the rings, in the SOURCE of a line.
 *
 * @param words those after the command's name, but for the one that is completed
 */
export const recordNames = (words: readonly string[], isRings: boolean): string[] =>
  ifKnown(() => {
    const { positionals, options } = read(words)
    // The shell has not replaced it yet.
    const given = positionals[0]?.replace(/^~(?=\/)/, os.homedir())
    if (given === undefined) return []
    endLater()
    const layout = parametersOf({ ...options })
    const { name, source, options: how } = findSource(given, options.config, layout)
    if (!isQuick(parseSource(source).path)) return []
    const report = (): void => {}
    const backend = attach(source, { ...how, name, readOnly: true, report, probeLimit })
    try {
      return isRings ? backend.rings().map(({ name }) => name) : [...backend.names(report)]
    } finally {
      backend.close()
    }
  })

/** The names of the backends in the config file of a line. */
export const backendNames = (words: readonly string[]): string[] =>
  ifKnown(() => findConfig(read(words).options.config)?.backends.map(({ name }) => name) ?? [])

/** Does a line have a SOURCE already, behind so many other arguments? */
export const hasSource = (words: readonly string[], behind = 0): boolean =>
  read(words).positionals.length > behind
