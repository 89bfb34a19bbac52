/** The command line, read by yargs: its command, or help, completions, or what is wrong with it. */
import fs from 'node:fs'
import yargs, { type CommandModule } from 'yargs'
import { backendName, driverNames } from '../attach.js'
import { standardInput } from '../native/stdin.js'
import { complete } from './commands/completion.js'
import { dashOptions } from './options/parameters.js'
import { version } from './version.js'

/** The drivers, and what Linux calls their backends where that is another name. */
const driverList = driverNames
  .map((name, i) => {
    const other = backendName(name)
    return i === 0 ? `${name} (the default)` : other === name ? name : `${name} (${other})`
  })
  .join(', ')

const epilogue = `\
SOURCE is [DRIVER:]PATH or the name of a backend in the config file. DRIVER is ${driverList}; \
PATH a file, a folder (efi, records), a block device or a dump, compressed or not; - is standard input. Without DRIVER it \
is found out by the content.

The layout of a region comes from its kernel's boot parameters: ramoops.record_size=65536 there is \
--record-size 64K here (or --record_size). Sizes: 65536, 0x10000, 64K, 2M. Where one layout option is \
given, the others have Linux's defaults (4096; tty 0, ecc 0). Without any, the layout is found from the \
bytes; \`probe\` shows how. Each command's --help lists the layout options.`

/** The commands, in the order of the help. Each is a module, loaded when it is asked for. */
const commands: { readonly [name: string]: () => Promise<unknown> } = {
  mount: async () => (await import('./commands/mount.js')).mount,
  ls: async () => (await import('./commands/ls.js')).ls,
  cat: async () => (await import('./commands/cat.js')).cat,
  info: async () => (await import('./commands/info.js')).info,
  check: async () => (await import('./commands/check.js')).check,
  probe: async () => (await import('./commands/probe.js')).probe,
  follow: async () => (await import('./commands/follow.js')).follow,
  format: async () => (await import('./commands/format.js')).format,
  write: async () => (await import('./commands/write.js')).write,
  tty: async () => (await import('./commands/tty.js')).tty,
  console: async () => (await import('./commands/console.js')).kernelConsole,
  erase: async () => (await import('./commands/erase.js')).erase,
  archive: async () => (await import('./commands/archive.js')).archive,
  list: async () => (await import('./commands/list.js')).list,
  show: async () => (await import('./commands/show.js')).show,
  ship: async () => (await import('./commands/ship.js')).ship,
}
const line = process.argv.slice(2)

/**
 * The commands that yargs has to know: the one that the line begins with; else all of them, for the help and for
 * completion, and mount(8)'s form.
 */
const loadCommands = async (): Promise<CommandModule[]> => {
  const [first = ''] = line
  const loads = Object.hasOwn(commands, first)
    ? [commands[first]!]
    : [...Object.values(commands), async () => (await import('./commands/mount.js')).mount8]
  return (await Promise.all(loads.map(load => load()))) as CommandModule[]
}

/** A command that is to be run: thrown, as yargs would render all help again after each one that it runs itself. */
class Chosen {
  constructor(readonly run: () => void | Promise<void>) {}
}

/** The command, as yargs chooses it. */
const chosenBy = (command: CommandModule): CommandModule => ({
  ...command,
  handler: args => {
    throw new Chosen(() => command.handler(args))
  },
})

/** Samples of commands' arguments. */
const samples: { readonly [argument: string]: string } = {
  source: 'region.img',
  names: 'dmesg-ramoops-0',
  type: 'console',
  mountpoint: '/mnt',
  dir: 'crashes',
}

/** Name the first argument that is missing, with an example; null where yargs reports another problem. */
const missingArgument = (command: string, said: string): string | null => {
  const [, given] = /^too few arguments: got (\d+)/.exec(said) ?? []
  if (given === undefined) return null
  const all = [...command.matchAll(/[<[](\w+)/g)].map(([, name = '']) => name)
  const name = command.split(' ')[0]!.replace('$0', '')
  const missing = all[Number(given)]?.replace('names', 'name').toUpperCase()
  if (missing === undefined) return null
  const example = ['pstorefs', name, ...all.map(argument => samples[argument])]
  return `${name ? `${name}: ` : ''}${missing} is missing, e.g. ${example.filter(Boolean).join(' ')}`
}

/** What options of `archive` have become. */
const commandsSince: readonly (readonly [option: RegExp, command: string])[] = [
  [/^--list(?:=|$)/, 'list DIR'],
  [/^--show(?:=|$)/, 'show DIR CRASH'],
]

/** A usage error in a line, after yargs's own message. */
const usageProblem = (said: string, known: readonly CommandModule[]): string => {
  const [first] = line
  const since = commandsSince.find(([option]) => line.some(word => option.test(word)))
  if (first === 'archive' && since) return `this is a command of its own: pstorefs ${since[1]}`
  const isCommand = first !== undefined && Object.hasOwn(commands, first)
  const help = `(see \`pstorefs ${isCommand ? `${first} ` : ''}--help\`)`
  if (first === undefined) return `no command is given ${help}`
  // In mount(8)'s form the first word may be any SOURCE.
  if (!isCommand && /^[a-z]+$/.test(first) && !fs.existsSync(first))
    return `${first}: no such command ${help}`
  const text = String(known.at(-1)!.command)
  const missing = missingArgument(text, said)
  return `${missing ?? said.replace(/^--(?=\w )/, '-').replaceAll(/\s+/g, ' ')} ${help}`
}

/**
 * Read the command line, and find its command; help and completions are printed.
 *
 * @param misused called with what is wrong with it
 * @returns what runs the command; null where there is nothing to run
 */
export const choose = async (
  misused: (problem: string) => never,
): Promise<(() => void | Promise<void>) | null> => {
  const known = await loadCommands()
  try {
    await yargs(dashOptions(line))
      .scriptName('pstorefs')
      // Its messages in other languages would stand beside English ones.
      .locale('en')
      .usage(
        '$0 COMMAND SOURCE …\n\nThe last words of a dead machine, as files: ramoops regions in user space.',
      )
      .command(known.map(chosenBy))
      .completion(
        'completion',
        'print a completion script for bash or zsh: pstorefs completion >> ~/.bashrc',
        (
          _word: string,
          _argv: unknown,
          all: (then: (error: Error | null, found: string[] | undefined) => void) => void,
          done: (found: string[]) => void,
        ) => all((_, found = []) => done([...complete(line.slice(1), found)])),
      )
      .parserConfiguration({
        'duplicate-arguments-array': true,
        'parse-numbers': false,
        'parse-positional-numbers': false,
      })
      // yargs's locales have plural forms, its types do not know them.
      .updateStrings({
        'Not enough non-option arguments: got %s, need at least %s': {
          one: 'too few arguments: got %s, need at least %s',
          other: 'too few arguments: got %s, need at least %s',
        },
        'Not enough arguments following: %s': '--%s needs a value',
      } as never)
      // yargs makes an empty SOURCE of `-`.
      .middleware(args => {
        if (args.source === '' && line.includes(standardInput)) args.source = standardInput
      })
      .strict()
      .demandCommand(1)
      .recommendCommands()
      .help()
      .alias('help', 'h')
      .version(version)
      .alias('version', 'V')
      .wrap(Math.min(100, process.stdout.columns ?? 80))
      .epilogue(epilogue)
      .fail((message, error: unknown) => {
        // yargs throws a YError only for wrong usage.
        if (error instanceof Chosen || (error instanceof Error && error.name !== 'YError'))
          throw error
        misused(usageProblem(message ?? (error as Error).message, known))
      })
      .parseAsync()
    return null
  } catch (thrown) {
    if (thrown instanceof Chosen) return thrown.run
    throw thrown
  }
}
