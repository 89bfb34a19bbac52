/** Completions of a word for the shell; where there are none, the shell offers files. */
import { mountOptions } from '../options/mount-options.js'
import { layoutOptions, parameters } from '../options/parameters.js'
import { writableTypes } from './write.js'

/** The values of options that take one of a few words, besides the choices that yargs knows. */
const values = new Map<string, readonly string[]>(
  Object.entries({ ...parameters, ...mountOptions }).flatMap(([name, { values }]) =>
    values ? [[`--${name}`, values] as const] : [],
  ),
)

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
  if (line[1] === 'write' && line.length === 3) return writableTypes
  // mount(8)'s form has no name to complete. Options are offered once the word begins with a dash; yargs keeps those
  // of the layout back, as the help does.
  const layout = line.length > 2 && line[1] !== 'ship' ? layoutOptions : []
  return [...offered, ...layout].filter(
    offer => !offer.startsWith('$0') && offer.startsWith('-') === word.startsWith('-'),
  )
}
