/** Words that stand for names: a pattern as the shell has it, or the beginning of a record's name and its number. */
import { isCompressedName } from '../../pstore/types.js'

/** Is a word a pattern, rather than a name? */
export const isPattern = (word: string): boolean => /[*?[]/.test(word)

/** One character of a pattern; null: any number of characters, of any kind. */
type Token = ((character: string) => boolean) | null

const classOf = (text: string): Token => {
  const isNot = /^[!^]/.test(text)
  const ranges = [...text.slice(Number(isNot)).matchAll(/(.)-(.)|./gsu)].map(
    ([all, from = all, to = all]) => [from, to] as const,
  )
  return character => ranges.some(([from, to]) => from <= character && character <= to) !== isNot
}

const tokensOf = (pattern: string): Token[] =>
  Array.from(pattern.matchAll(/\*+|\?|\[([!^]?\]?[^\]]*)\]|./gsu), ([text, inside]) => {
    if (text.startsWith('*')) return null
    if (inside !== undefined) return classOf(inside)
    return text === '?' ? () => true : (character: string) => character === text
  })

/** Does a whole name match a pattern of `*`, `?`, `[a-z]`, `[!a-z]`? Takes their lengths' product at most. */
export const matchesPattern = (pattern: string, name: string): boolean => {
  const tokens = tokensOf(pattern)
  const characters = [...name]
  let [token, at] = [0, 0]
  // Where the last * stands, and up to where it takes characters.
  let [star, taken] = [-1, 0]
  while (at < characters.length) {
    const wanted = tokens[token]
    if (wanted === null) [star, taken] = [token++, at]
    else if (wanted?.(characters[at]!)) [token, at] = [token + 1, at + 1]
    else if (star >= 0) [token, at] = [star + 1, ++taken]
    else return false
  }
  return tokens.slice(token).every(left => left === null)
}

const suffix = '.enc.z'

/**
 * Does a word stand for a record's name? A pattern for all that match it; `dmesg-ramoops-0` also for the same with
 * `.enc.z`; `dmesg` and `dmesg-ramoops` for what begins so, `dmesg-0` for what also has that number, and a number for
 * the dump that has it.
 */
export const standsFor = (word: string, name: string): boolean => {
  if (isPattern(word)) return matchesPattern(word, name)
  // What says how its bytes are is meant as it is written.
  if (isCompressedName(word)) return word === name
  const stem = isCompressedName(name) ? name.slice(0, -suffix.length) : name
  if (stem === word || stem.startsWith(`${word}-`)) return true
  const [, label = 'dmesg', number] = /^(?:(.+)-)?(\d+(?:\.\d+)?)$/s.exec(word) ?? []
  return number !== undefined && stem.startsWith(`${label}-`) && stem.endsWith(`-${number}`)
}
