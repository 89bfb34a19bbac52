/** `pstorefs tty`: keep the terminal output of a command, of the console or of the journal. */
import fs from 'node:fs'
import path from 'node:path'
import type { CommandModule } from 'yargs'
import { Appender } from '../../frontends/appender.js'
import { Tee } from '../../frontends/tty/tee.js'
import { OuterTerminal, runSession, statusOf } from '../../frontends/tty/session.js'
import { stamper, stripper, type Filter } from '../../frontends/tty/filters.js'
import type { Backend } from '../../pstore/backend.js'
import { codeInWords } from '../../native/words.js'
import { keepLines } from '../../service/keep-console.js'
import { keepingOf } from '../../service/keeping.js'
import { tell } from '../../service/log.js'
import { outputError } from '../show/output.js'
import { writableFor } from '../options/writable.js'
import { attachSources, withForce, withSources, type SourcesArgs } from '../options/source.js'

interface Args extends SourcesArgs {
  force: boolean
  timestamps: boolean
  strip: boolean
  console: boolean
  journalTty: string | undefined
  /** The words after `--`. */
  '--'?: string[]
}

/** The usual path of the link to journald's terminal. */
const journalTty = '/run/pstorefs/journal-tty'
/** The exit statuses of shells for a command that is missing, or not executable. */
const notFound = 127
const notExecutable = 126

const details =
  'Runs COMMAND on a pseudo-terminal, as usual, and keeps its output, byte for byte, in the tty zone. ' +
  'Output is kept before it is shown, so that all text that was seen survives a crash right after. The exit ' +
  'status is that of COMMAND, or 128 + n where signal n ended it. Where standard input is not a terminal, ' +
  'its end is passed on as ^D; binary input is better redirected inside: ' +
  "-- sh -c 'COMMAND < FILE'. " +
  'With --console, the output of programs to /dev/console (TIOCCONS; root only) is kept instead, and passed ' +
  'on to the console. With --journal-tty, a terminal is made, and a link to it for TTYPath= in ' +
  'journald.conf. Both run until a signal ends them.'

export const tty: CommandModule<object, Args> = {
  command: 'tty [source]',
  describe: 'run a command on a terminal, and keep its output',
  builder: argv =>
    withForce(withSources(argv))
      .parserConfiguration({ 'populate--': true, 'boolean-negation': false })
      .usage(
        `$0 tty SOURCE [options] -- COMMAND [ARG…]\n$0 tty --backend NAMES [options] -- COMMAND [ARG…]\n$0 tty SOURCE [options] --console --journal-tty\n\n${details}`,
      )
      .option('timestamps', {
        type: 'boolean',
        default: false,
        describe: 'put the time since boot before each line in the zone',
      })
      .option('strip', {
        type: 'boolean',
        default: false,
        describe: 'leave escape sequences (colours, cursor movements) out of the zone',
      })
      .option('console', {
        type: 'boolean',
        default: false,
        describe: 'keep the output of programs to /dev/console',
      })
      .option('journal-tty', {
        type: 'string',
        describe: `make a terminal for journald, and a link to it [${journalTty}]`,
      })
      .check(args => {
        const commanded = ((args['--'] as string[] | undefined)?.length ?? 0) > 0
        const others = args.console || args['journal-tty'] !== undefined
        if (commanded && others) return '--console and --journal-tty take no command'
        return commanded || others || 'Give a command after --, or --console or --journal-tty'
      })
      .example('$0 tty region.img -- kdump-config load', '')
      .example('$0 tty --backend all --timestamps --strip -- bash', '')
      .example('$0 tty --backend all --console --journal-tty', '') as never,
  handler: async args => {
    const command = args['--'] ?? []
    const backends = attachSources(args)
    let status: number
    try {
      const writable = writableFor('tty', backends, args.source)
      const filters = (): Filter[] =>
        [args.strip ? stripper() : [], args.timestamps ? stamper() : []].flat()
      const { journalTty: link } = args
      status = command.length
        ? await keepCommand(command, writable, filters())
        : await keepLines(writable, filters, {
            console: args.console,
            link: link === undefined ? null : link || journalTty,
          })
    } finally {
      for (const backend of backends) backend.close()
    }
    process.exit(status)
  },
}

/** Run a command, and keep its output; returns its exit status. */
const keepCommand = async (
  command: readonly string[],
  writable: readonly Backend[],
  filters: readonly Filter[],
): Promise<number> => {
  const problem = problemOf(command[0]!)
  if (problem) {
    tell(problem.message)
    return problem.status
  }
  const outer = new OuterTerminal()
  const told = keepingOf('output', line => outer.aside(() => tell(line)))
  const appender = new Appender(writable, 'tty', told)
  const screen = new Screen()
  const tee = new Tee(appender, filters, bytes => screen.show(bytes, () => tee.release()))
  let status: number
  let lost: NodeJS.Signals | null = null
  try {
    status = await runSession(command, outer, tee, screen.broken)
  } finally {
    appender.flush()
    lost = await screen.flushed()
  }
  // The command may have ended before its last words could not be shown.
  return lost ? statusOf(lost) : status
}

/** The reason why a command cannot be run; null where it can. */
const problemOf = (command: string): { message: string; status: number } | null => {
  const isPath = command.includes('/')
  const folders = isPath ? [''] : (process.env.PATH ?? '/usr/bin:/bin').split(':')
  const files = folders.map(folder => (isPath ? command : path.join(folder || '.', command)))
  const reasons = files.map(whyNot)
  if (reasons.includes(null)) return null
  // Shells pass over folders of that name, and over what they may not look into, on their way through PATH.
  const code = isPath
    ? reasons[0]
    : reasons.find((reason, i) => reason !== 'EISDIR' && fs.existsSync(files[i]!))
  return !code || code === 'ENOENT'
    ? { message: `${command}: command not found`, status: notFound }
    : {
        message: `${command}: cannot be executed: ${codeInWords(code) ?? code}`,
        status: notExecutable,
      }
}

/** The system's code for why a file cannot be executed; null where it can. */
const whyNot = (file: string): string | null => {
  try {
    const stat = fs.statSync(file)
    if (stat.isDirectory()) return 'EISDIR'
    if (!stat.isFile()) return 'EACCES'
    fs.accessSync(file, fs.constants.X_OK)
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code!
  }
}

/** Standard output: a terminal, a pipe or a file. */
class Screen {
  /** Settles when standard output fails, with the signal that a writer gets for that. */
  readonly broken: Promise<'SIGPIPE' | 'SIGHUP'>
  /** The same, once it has. */
  #signal: 'SIGPIPE' | 'SIGHUP' | null = null

  constructor() {
    this.broken = new Promise(resolve => {
      // A session ends its command first.
      process.stdout.on('error', (error: NodeJS.ErrnoException) => {
        const isLeft = error.code === 'EPIPE'
        if (!isLeft) tell(outputError(error).message)
        this.#signal = isLeft ? 'SIGPIPE' : 'SIGHUP'
        resolve(this.#signal)
      })
    })
  }

  /** Returns false where some of the bytes wait for a reader; `seen` is called once they are read. */
  show(bytes: Buffer, seen: () => void): boolean {
    if (this.#signal) return true
    const { stdout } = process
    const isTaken = (): boolean => stdout.writableLength === 0
    // The callback also comes for earlier writes.
    stdout.write(bytes, () => isTaken() && seen())
    return isTaken()
  }

  /** Wait until all bytes are written, or cannot be; returns what {@link broken} settles with, null where it does not. */
  async flushed(): Promise<NodeJS.Signals | null> {
    // What goes wrong is told of after the callback.
    const written = (seen: () => void): unknown =>
      process.stdout.write('', () => setImmediate(seen))
    if (!this.#signal) await new Promise<void>(written)
    return this.#signal
  }
}
