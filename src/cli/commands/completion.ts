/** What the shell completes a word with. Where that is nothing, it offers files. */
import { presets } from '../../backends/ramoops/layout.js'
import { attachModes, subdirsValues } from '../options/mount-options.js'
import { writableTypes } from './write.js'

/** Options that take one of a few words, besides those that yargs knows the choices of. */
const values: { readonly [option: string]: readonly string[] } = {
  '--preset': Object.keys(presets),
  '--endian': ['little', 'big'],
  '--subdirs': subdirsValues,
  '--attach': attachModes,
}

/**
 * Words for the last of a command line.
 *
 * @param line `pstorefs`, and what has been typed
 * @param known what yargs offers there: commands, options, choices; each for zsh with `:` and what it is
 */
export const complete = (line: readonly string[], known: readonly string[]): readonly string[] => {
  const [previous, word] = line.slice(-2)
  if (Object.hasOwn(values, previous)) return values[previous]
  if (line[1] === 'write' && line.length === 3) return writableTypes
  // The form that mount(8) calls has no name. Options are offered to whoever has begun one.
  return known.filter(
    offer => !offer.startsWith('$0') && offer.startsWith('-') === word.startsWith('-'),
  )
}
