/** `pstorefs tty`: what a command, the console or the journal prints on a terminal is kept. */
import fs from 'node:fs'
import path from 'node:path'
import type { CommandModule } from 'yargs'
import { Appender } from '../../frontends/appender.js'
import { Tee } from '../../frontends/tty/tee.js'
import { OuterTerminal, runSession } from '../../frontends/tty/session.js'
import { stamper, stripper, type Filter } from '../../frontends/tty/filters.js'
import type { Backend } from '../../pstore/backend.js'
import { keepLines } from '../../service/keep-console.js'
import { tell } from '../../service/log.js'
import { writableFor } from '../options/writable.js'
import { attachSources, withSources, type SourcesArgs } from '../options/source.js'

interface Args extends SourcesArgs {
  timestamps: boolean
  strip: boolean
  console: boolean
  journalTty: string | undefined
  /** What stands after `--`. */
  '--'?: string[]
}

/** Where the link to journald's terminal is. */
const journalTty = '/run/pstorefs/journal-tty'
/** What shells say of a command that is not there, or is none. */
const notFound = 127
const notExecutable = 126

const details =
  'Runs COMMAND on a pseudo-terminal, as usual, and keeps what it prints, byte for byte, in the tty ' +
  'zone: before it is shown, so that all that was seen is kept, also where everything is killed right ' +
  'after. Ends with the exit status of COMMAND, or 128 + n where signal n ended it. The end of a standard ' +
  'input that is no terminal is passed on as ^D; what a pipe holds that is no text is better redirected ' +
  "inside: -- sh -c 'COMMAND < FILE'. " +
  'With --console it takes over what programs write to /dev/console instead (TIOCCONS; root only), keeps ' +
  'it, and passes it on to where it went before. With --journal-tty it makes a terminal, and a link to it ' +
  'for TTYPath= in journald.conf. Both go on until they are ended.'

export const tty: CommandModule<object, Args> = {
  command: 'tty [source]',
  describe: 'run a command on a terminal, and keep what it prints',
  builder: argv =>
    withSources(argv)
      .parserConfiguration({ 'populate--': true })
      .usage(
        `$0 tty SOURCE [options] -- COMMAND [ARG…]\n$0 tty --backend NAMES [options] -- COMMAND [ARG…]\n$0 tty SOURCE [options] --console --journal-tty\n\n${details}`,
      )
      .option('timestamps', {
        type: 'boolean',
        default: false,
        describe: 'put the time since the machine started before each line in the zone',
      })
      .option('strip', {
        type: 'boolean',
        default: false,
        describe: 'keep no escape sequences (colours, cursor movements) in the zone',
      })
      .option('console', {
        type: 'boolean',
        default: false,
        describe: 'keep what programs write to /dev/console',
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
      .example('$0 tty pstore.img --tty-size 64K -- kdump-config load', '')
      .example('$0 tty --backend all --timestamps --strip -- bash', '')
      .example('$0 tty --backend all --console --journal-tty', '') as never,
  handler: async args => {
    const command = args['--'] ?? []
    const backends = attachSources(args)
    let status: number
    try {
      const places = writableFor('tty', backends, args.source)
      const transforms = (): Filter[] =>
        [args.strip ? stripper() : [], args.timestamps ? stamper() : []].flat()
      const { journalTty: link } = args
      status = command.length
        ? await keepCommand(command, places, transforms())
        : await keepLines(places, transforms, {
            console: args.console,
            link: link === undefined ? null : link || journalTty,
          })
    } finally {
      for (const backend of backends) backend.close()
    }
    process.exit(status)
  },
}

/** Run a command, and keep what it prints; gives its exit status. */
const keepCommand = async (
  command: readonly string[],
  places: readonly Backend[],
  transforms: readonly Filter[],
): Promise<number> => {
  const problem = problemOf(command[0])
  if (problem) {
    tell(problem.message)
    return problem.status
  }
  const outer = new OuterTerminal()
  const appender = new Appender(places, 'tty', ({ name }, error) =>
    outer.aside(() => tell(`${name}: what is printed is kept no longer: ${error.message}`)),
  )
  const screen = new Screen()
  const keeper = new Tee(appender, transforms, bytes => screen.show(bytes, () => keeper.release()))
  try {
    return await runSession(command, outer, keeper, screen.broken)
  } finally {
    appender.flush()
    await screen.flushed()
  }
}

/** Why a command cannot be run; null where it can. */
const problemOf = (command: string): { message: string; status: number } | null => {
  const isPath = command.includes('/')
  const folders = isPath ? [''] : (process.env.PATH ?? '/usr/bin:/bin').split(':')
  const found = folders.map(folder => (isPath ? command : path.join(folder || '.', command)))
  const files = found.filter(file => fs.statSync(file, { throwIfNoEntry: false })?.isFile())
  if (files.length === 0) return { message: `${command}: command not found`, status: notFound }
  const { X_OK } = fs.constants
  const isExecutable = files.some(file => {
    try {
      fs.accessSync(file, X_OK)
      return true
    } catch {
      return false
    }
  })
  return isExecutable
    ? null
    : { message: `${command}: cannot be executed: permission denied`, status: notExecutable }
}

/** Standard output, whatever it is. */
class Screen {
  /** Settles when it cannot be written to any more, with the signal that a writer gets for that. */
  readonly broken: Promise<'SIGPIPE' | 'SIGHUP'>
  #isBroken = false

  constructor() {
    this.broken = new Promise(resolve => {
      // Not the end of this program, as it is otherwise, but the command's.
      process.stdout.removeAllListeners('error').on('error', ({ code }: NodeJS.ErrnoException) => {
        this.#isBroken = true
        resolve(code === 'EPIPE' ? 'SIGPIPE' : 'SIGHUP')
      })
    })
  }

  /** False where some of it waits for a reader; once that has taken it, `seen` is called. */
  show(bytes: Buffer, seen: () => void): boolean {
    if (this.#isBroken) return true
    const { stdout } = process
    const isTaken = (): boolean => stdout.writableLength === 0
    // Called for what was written before, too.
    stdout.write(bytes, () => isTaken() && seen())
    return isTaken()
  }

  /** Wait until all is written. */
  flushed(): Promise<void> {
    return new Promise(resolve => {
      if (this.#isBroken) resolve()
      else process.stdout.write('', () => resolve())
    })
  }
}
