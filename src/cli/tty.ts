/** `pstorefs tty`: a command on a terminal whose output is kept. */
import fs from 'node:fs'
import path from 'node:path'
import type { CommandModule } from 'yargs'
import { Appender } from '../frontends/appender.js'
import { Keeper } from '../frontends/keeper.js'
import { OuterTerminal, runSession } from '../frontends/session.js'
import { stamper, stripper } from '../frontends/typescript.js'
import { tell } from './errors.js'
import { placesFor } from './places.js'
import { attachSources, withSources, type SourcesArgs } from './source.js'

interface Args extends SourcesArgs {
  timestamps: boolean
  strip: boolean
  /** What stands after `--`. */
  '--'?: string[]
}

/** What shells say of a command that is not there, or is none. */
const notFound = 127
const notExecutable = 126

const details =
  'Runs COMMAND on a pseudo-terminal, as usual, and keeps what it prints, byte for byte, in the tty ' +
  'zone: before it is shown, so that all that was seen is kept, also where everything is killed right ' +
  'after. Ends with the exit status of COMMAND, or 128 + n where signal n ended it. The end of a standard ' +
  'input that is no terminal is passed on as ^D; what a pipe holds that is no text is better redirected ' +
  "inside: -- sh -c 'COMMAND < FILE'."

export const tty: CommandModule<object, Args> = {
  command: 'tty [source]',
  describe: 'run a command on a terminal, and keep what it prints',
  builder: argv =>
    withSources(argv)
      .parserConfiguration({ 'populate--': true })
      .usage(
        `$0 tty SOURCE [options] -- COMMAND [ARG…]\n$0 tty --backend NAMES [options] -- COMMAND [ARG…]\n\n${details}`,
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
      .check(args =>
        (args['--'] as string[] | undefined)?.length ? true : 'Give a command after --',
      )
      .example('$0 tty pstore.img --tty-size 64K -- kdump-config load', '')
      .example('$0 tty --backend all --timestamps --strip -- bash', '') as never,
  handler: async args => {
    const command = args['--'] ?? []
    const backends = attachSources(args)
    let status: number
    try {
      const places = placesFor('tty', backends, args.source)
      const problem = problemOf(command[0])
      if (problem) {
        tell(problem.message)
        status = problem.status
      } else {
        const outer = new OuterTerminal()
        const appender = new Appender(places, 'tty', ({ name }, error) =>
          outer.aside(() => tell(`${name}: what is printed is kept no longer: ${error.message}`)),
        )
        const transforms = [args.strip ? stripper() : [], args.timestamps ? stamper() : []].flat()
        const screen = new Screen()
        const keeper = new Keeper(appender, transforms, screen.show)
        try {
          status = await runSession(command, outer, keeper, screen.broken)
        } finally {
          appender.flush()
        }
        await screen.flushed()
      }
    } finally {
      for (const backend of backends) backend.close()
    }
    process.exit(status)
  },
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

  readonly show = (bytes: Buffer): void => {
    if (!this.#isBroken) process.stdout.write(bytes)
  }

  /** Wait until all is written. */
  flushed(): Promise<void> {
    return new Promise(resolve => {
      if (this.#isBroken) resolve()
      else process.stdout.write('', () => resolve())
    })
  }
}
