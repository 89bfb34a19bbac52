/** Wrong usage, in a line that says what to type instead. */
import fs from 'node:fs'
import { commandNames, isCommand } from './command-names.js'
import { meant } from './near.js'

/** Samples of commands' arguments. */
const samples: { readonly [argument: string]: string } = {
  source: 'region.img',
  names: 'dmesg-0',
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

/** Name what is no option, and what it may have meant; null where yargs reports another problem. */
const unknownArgument = (
  first: string | undefined,
  line: readonly string[],
  said: string,
  options: readonly string[],
): string | null => {
  const [, list] = /^Unknown arguments?: (.*)$/.exec(said) ?? []
  if (list === undefined) return null
  const unknown = list.split(', ')
  // yargs names options without their dashes, each in both spellings, and each letter behind a single dash.
  const named = (word: string): boolean => {
    const name = word.replace(/^-+/, '').replace(/=.*/s, '')
    return unknown.includes(name) || unknown.includes(name.replaceAll('_', '-'))
  }
  const isLetters = (word: string): boolean =>
    /^-[^-]/.test(word) && unknown.some(name => name.length === 1 && word.includes(name))
  const typed = line.find(named) ?? line.find(isLetters)
  const word = typed?.replace(/=.*/s, '') ?? unknown[0]!
  if (first === 'tty' && (!word.startsWith('-') || !line.includes('--')))
    return `${word}: put -- before the command, as in pstorefs tty region.img -- bash`
  if (!word.startsWith('-')) return `${word}: an argument too many`
  // The help of a command may name another one's.
  const others = options.filter(option => option !== word)
  return `${word}: no such option${meant(word, others)}`
}

/** Name the first value that is none of its argument's, and which there are; null where yargs reports another problem. */
const wrongChoice = (command: string, said: string): string | null => {
  const [, name, given = '', choices = ''] =
    /^Invalid values:\s+Argument: (\S+), Given: "(.*?)", Choices: (.*)/.exec(said) ?? []
  if (name === undefined) return null
  const isOption = !new RegExp(`[<[]${name}\\b`).test(command)
  return `${isOption ? '--' : ''}${name} '${given}': must be one of ${choices.replaceAll('"', '')}`
}

/** What options of `archive` have become. */
const commandsSince: readonly (readonly [option: RegExp, command: string])[] = [
  [/^--list(?:=|$)/, 'list DIR'],
  [/^--show(?:=|$)/, 'show DIR CRASH'],
]

/**
 * A usage error in a line.
 *
 * @param line the words after `pstorefs`
 * @param said yargs's message
 * @param command the synopsis of the command that was read
 * @param options that command's
 */
export const usageProblem = (
  line: readonly string[],
  said: string,
  command: string,
  options: readonly string[],
): string => {
  const [first] = line
  const since = commandsSince.find(([option]) => line.some(word => option.test(word)))
  if (first === 'archive' && since) return `this is a command of its own: pstorefs ${since[1]}`
  const help = `(see \`pstorefs help${isCommand(first) ? ` ${first}` : ''}\`)`
  // In mount(8)'s form the first word may be any SOURCE.
  if (
    first !== undefined &&
    first !== 'help' &&
    !isCommand(first) &&
    /^[a-z]+$/.test(first) &&
    !fs.existsSync(first)
  )
    return `${first}: no such command${meant(first, commandNames)} ${help}`
  const problem =
    missingArgument(command, said) ??
    unknownArgument(first, line, said, options) ??
    wrongChoice(command, said) ??
    said.replace(/^--(?=\w )/, '-').replaceAll(/\s+/g, ' ')
  return `${problem} ${help}`
}
