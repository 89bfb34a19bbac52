/** The command line, read by yargs: its command, or help, completions, or what is wrong with it. */
import yargs, { type Argv, type CommandModule } from 'yargs'
import { standardInput } from '../native/stdin.js'
import { chooseShell, complete, takesLayout } from './commands/completion.js'
import { commandNames, isCommand, type CommandName } from './command-names.js'
import { loadAll, loadCommands } from './commands.js'
import { topics } from './help.js'
import { usageProblem } from './misuse.js'
import { meant } from './near.js'
import { dashOptions, layoutOptions } from './options/parameters.js'
import { helpWidth, layOutHelp } from './show/help.js'
import { print, printLine } from './show/output.js'
import { version } from './version.js'

const line = process.argv.slice(2)

/**
 * The commands that yargs has to know: the one that the line begins with; else all of them, for completion, and
 * mount(8)'s form.
 */
const knownCommands = async (): Promise<CommandModule[]> => {
  const [first] = line
  if (isCommand(first)) return loadCommands([first])
  return loadAll()
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

/** Wrong usage, in yargs's words. */
class Misuse {
  constructor(readonly said: string) {}
}

/** Stands before `-`, and before words behind `--`, while yargs is at work, which would take them for options. */
const standIn = '\0'
const withoutStandIn = (value: unknown): unknown =>
  typeof value === 'string' ? value.replace(standIn, '') : value

/**
 * A value right behind its letter, as -oro and -n1 have it, as a word of its own: yargs takes each letter of it that is
 * one of a command's for another option.
 */
const letterApart = (word: string): string[] => {
  const [, letters, value] = /^(-[^-=no]*[no])([^=].*)$/s.exec(word) ?? []
  return letters === undefined || value === undefined ? [word] : [letters, value]
}

/** The words with all such values apart, up to `--`. */
const lettersApart = (words: readonly string[]): string[] => {
  const end = words.indexOf('--')
  return words.flatMap((word, i) => (end >= 0 && i > end ? [word] : letterApart(word)))
}

/** The words for yargs, which leaves those behind `--` out of a command's arguments: `tty` alone wants that. */
const wordsFor = (typed: readonly string[]): string[] => {
  // A word that is to be completed may be a dash, or two, or a letter and the beginning of its value.
  if (typed[0] === '--get-yargs-completions') return dashOptions(typed)
  const words = lettersApart(dashOptions(typed))
  const end = typed[0] === 'tty' ? -1 : words.indexOf('--')
  const others = end < 0 ? words : [...words.slice(0, end), ...words.slice(end + 1)]
  return others.map((word, i) =>
    word === standardInput || (end >= 0 && i >= end && word.startsWith('-'))
      ? standIn + word
      : word,
  )
}

/**
 * What may stand there more than once. Of every other option that is repeated the last counts. (None is of yargs's type
 * `number`: of that a second one that is 1 is added to the first.)
 */
const several = ['_', '--', 'backend', 'options', 'o', 'sources', 'names', 'where']

/**
 * Refuse a switch with a value that is neither true nor false, as --keep=yes: yargs takes each such for false, and what
 * was to be kept would be erased.
 *
 * @param args as yargs read them
 */
const checkSwitches = (
  words: readonly string[],
  args: { readonly [name: string]: unknown },
): void => {
  const end = words.indexOf('--')
  for (const word of words.slice(0, end < 0 ? undefined : end)) {
    const [, option, dashes, letters = '', value] = /^((--?)([^=]+))=(.*)$/s.exec(word) ?? []
    if (option === undefined || value === 'true' || value === 'false') continue
    const given = args[dashes === '-' ? letters.slice(-1) : letters]
    if (typeof [given].flat().at(-1) === 'boolean')
      throw new Misuse(`${option}: takes no value: give it alone, or leave it out`)
  }
}

/** yargs for a line and the commands that may be in it. */
const reader = (words: readonly string[], known: readonly CommandModule[]): Argv =>
  yargs([...words])
    .scriptName('pstorefs')
    // Its messages in other languages would stand beside English ones.
    .locale('en')
    .command(known.map(chosenBy))
    .completion(
      'completion',
      'print a completion script for bash or zsh: pstorefs completion bash >> ~/.bashrc',
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
      // --no-options would make a switch of what takes a value.
      'boolean-negation': false,
    })
    // yargs's locales have plural forms, its types do not know them.
    .updateStrings({
      'Not enough non-option arguments: got %s, need at least %s': {
        one: 'too few arguments: got %s, need at least %s',
        other: 'too few arguments: got %s, need at least %s',
      },
      'Not enough arguments following: %s': '--%s needs a value',
    } as never)
    .middleware(args => {
      checkSwitches(words, args)
      for (const [name, given] of Object.entries(args)) {
        const value: unknown =
          Array.isArray(given) && !several.includes(name) ? given.at(-1) : given
        args[name] = Array.isArray(value) ? value.map(withoutStandIn) : withoutStandIn(value)
      }
    }, true)
    .strict()
    .demandCommand(1)
    .help()
    .alias('help', 'h')
    .version(version)
    .alias('version', 'V')
    // show/help.ts lays it out.
    .wrap(null)
    .fail((message, error: unknown) => {
      // yargs throws a YError only for wrong usage.
      if (
        error instanceof Chosen ||
        error instanceof Misuse ||
        (error instanceof Error && error.name !== 'YError')
      )
        throw error
      throw new Misuse(message ?? (error as Error).message)
    })

/** The help of a command. */
const helpOf = async (name: CommandName): Promise<string> => {
  const known = await loadCommands([name])
  return layOutHelp(await reader([name], known).getHelp(), helpWidth())
}

/** The word of which the line asks for help, '' for the program; null where it asks for none. */
const helpWanted = (): string | null => {
  const [first = '', second = ''] = line
  if (first === 'help') return second
  const end = line.indexOf('--')
  const isAsked = line.slice(0, end < 0 ? undefined : end).some(word => /^(--help|-h)$/.test(word))
  return isAsked ? (isCommand(first) ? first : '') : null
}

/** What prints the help of a word. */
const helper = async (word: string): Promise<() => void> => {
  if (isCommand(word)) {
    const help = await helpOf(word)
    return () => print([help])
  }
  const topic = Object.hasOwn(topics, word) ? topics[word] : undefined
  if (!topic) {
    const known = [...commandNames, ...Object.keys(topics)]
    throw new Misuse(`${word}: there is no help of that name${meant(word, known)}`)
  }
  const help = await topic(helpWidth())
  return () => print([help])
}

/** Without any word the commands are told, as wrong usage. */
const bare = async (): Promise<() => void> => {
  const help = await topics['']!(helpWidth())
  return () => {
    process.stderr.write(help)
    process.exitCode = 2
  }
}

/** A command's options, as they are typed. */
const optionsOf = async (): Promise<string[]> => {
  const [first = ''] = line
  const help = await helpOf(isCommand(first) ? first : 'mount')
  const own = Array.from(help.matchAll(/(?<![\w-])(--[a-z][a-z-]*)/g), ([option]) => option)
  return [...new Set([...own, ...(takesLayout(first) ? layoutOptions : [])])]
}

/**
 * Read the command line, and find its command; completions are printed.
 *
 * @param misused called with what is wrong with it
 * @returns what runs the command, or prints the help; null where there is nothing to run
 */
export const choose = async (
  misused: (problem: string) => never,
): Promise<(() => void | Promise<void>) | null> => {
  const known: CommandModule[] = []
  // yargs prints completions with it, and it hides that they could not be written.
  console.log = printLine
  try {
    if (line.length === 0) return await bare()
    const wanted = helpWanted()
    if (wanted !== null) return await helper(wanted)
    if (line.length === 1 && line[0] === 'version') return () => print([`${version}\n`])
    const problem = chooseShell(line, process.env)
    if (problem !== null) return misused(`${problem} (see \`pstorefs help\`)`)
    known.push(...(await knownCommands()))
    await reader(wordsFor(line), known).parseAsync()
    return null
  } catch (thrown) {
    if (thrown instanceof Chosen) return thrown.run
    if (!(thrown instanceof Misuse)) throw thrown
    const synopsis = String(known.at(-1)?.command ?? '')
    return misused(usageProblem(line, thrown.said, synopsis, await optionsOf()))
  }
}
