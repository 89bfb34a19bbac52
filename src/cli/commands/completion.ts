/** Completions of a word for the shell; where there are none, the shell offers files. */
import { levels } from '../options/levels.js'
import { mountOptions } from '../options/mount-options.js'
import { backendNames, hasSource, recordNames } from '../options/offered-names.js'
import { layoutOptions, parameters } from '../options/parameters.js'
import { writableTypes } from './write.js'

/** The values of options that take one of a few words, besides the choices that yargs knows. */
const values = new Map<string, readonly string[]>([
  ...Object.entries({ ...parameters, ...mountOptions }).flatMap(([name, { values }]) =>
    values ? [[`--${name}`, values] as const] : [],
  ),
  ['--level', levels],
])

/** What comes after -o: flags, and names with their equals sign. */
const afterO = [
  ...Object.entries(mountOptions).map(([name, { takes }]) => (takes === null ? name : `${name}=`)),
  ...Object.keys(parameters).map(name => `${name}=`),
]

/** Commands that take names of records; true: of rings. */
const takesNames = new Map([
  ['cat', false],
  ['erase', false],
  ['follow', true],
])

/** Commands that make or send, rather than look into a store that may be configured. */
const takesNoBackend = ['completion', 'format', 'probe', 'ship']

/** Whether a command has a source, whose layout options can say. */
export const takesLayout = (command: string): boolean =>
  !['completion', 'help', 'ship', 'status'].includes(command)

/** The shells that there are completions for. */
const shells = ['bash', 'zsh']

/**
 * Choose the shell, by what SHELL names, as yargs does: that may be another one than is typed in.
 *
 * @param line the words after `pstorefs`
 * @param env the environment, which is changed
 * @returns what is wrong with the line, or null
 */
export const chooseShell = (
  [first, second]: readonly string[],
  env: { [name: string]: string | undefined },
): string | null => {
  const isZsh = /(?:^|\/)zsh$/.test(env['SHELL'] ?? '')
  // Of the two scripts that ask for offers zsh's alone sets COMP_LINE.
  const asks = first === '--get-yargs-completions' ? env['COMP_LINE'] !== undefined : isZsh
  const shell = (first === 'completion' && second) || shells[Number(asks)]!
  if (!shells.includes(shell)) return `completion '${shell}': must be ${shells.join(' or ')}`
  env['SHELL'] = shell
  delete env['ZSH_NAME']
  return null
}

/** Each offer as the last of a list with commas, where it is not in it yet. */
const inList = (word: string, offers: readonly string[]): string[] => {
  const before = word.slice(0, word.lastIndexOf(',') + 1)
  const taken = before.split(',')
  return offers.filter(offer => !taken.includes(offer)).map(offer => `${before}${offer}`)
}

/**
 * Words for the last of a command line.
 *
 * @param line `pstorefs`, and the words typed so far
 * @param offered yargs's own offers: commands, options, choices; for zsh each with `:` and a description
 */
export const complete = (
  line: readonly string[],
  offered: readonly string[],
): readonly string[] => {
  const [previous = '', word = ''] = line.slice(-2)
  const known = values.get(previous)
  if (known) return known
  const [, command = ''] = line
  if (command === 'write' && line.length === 3) return writableTypes
  if (previous === '-o') return inList(word, afterO)
  const words = line.slice(2, -1)
  if (previous === '--backend')
    return inList(word, [
      ...(word.includes(',') ? [] : ['all']),
      ...backendNames(words.slice(0, -1)),
    ])
  // mount(8)'s form has no name to complete. Options are offered once the word begins with a dash; yargs keeps those
  // of the layout back, as the help does.
  const layout = line.length > 2 && takesLayout(command) ? layoutOptions : []
  const found = [...offered, ...layout].filter(
    offer => !offer.startsWith('$0') && offer.startsWith('-') === word.startsWith('-'),
  )
  if (line.length < 3 || word.startsWith('-') || previous.startsWith('--')) return found
  const isRings = takesNames.get(command)
  if (isRings !== undefined && hasSource(words)) return [...found, ...recordNames(words, isRings)]
  // Files are what the shell offers, where nothing else is.
  const mayBeBackend = word !== '' || line.includes('--config')
  const backends =
    mayBeBackend &&
    !takesNoBackend.includes(command) &&
    // TYPE comes first.
    !hasSource(words, command === 'write' ? 1 : 0)
      ? backendNames(words)
      : []
  return [...found, ...backends.filter(name => name.startsWith(word))]
}
