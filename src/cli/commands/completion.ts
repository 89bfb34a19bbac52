/** What the shell completes a word with. Where that is nothing, it offers files. */
import { mountOptions } from '../options/mount-options.js'
import { parameters } from '../options/parameters.js'
import { writableTypes } from './write.js'

/** The values of options that take one of a few words, besides those that yargs knows the choices of. */
const values = new Map<string, readonly string[]>(
  Object.entries({ ...parameters, ...mountOptions }).flatMap(([name, { values }]) =>
    values ? [[`--${name}`, values] as const] : [],
  ),
)

/**
 * Words for the last of a command line.
 *
 * @param line `pstorefs`, and what has been typed
 * @param offered what yargs offers there: commands, options, choices; each for zsh with `:` and what it is
 */
export const complete = (
  line: readonly string[],
  offered: readonly string[],
): readonly string[] => {
  const [previous, word] = line.slice(-2)
  const known = values.get(previous)
  if (known) return known
  if (line[1] === 'write' && line.length === 3) return writableTypes
  // The form that mount(8) calls has no name. Options are offered to whoever has begun one.
  return offered.filter(
    offer => !offer.startsWith('$0') && offer.startsWith('-') === word.startsWith('-'),
  )
}
