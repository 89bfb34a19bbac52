/** What a misspelt word may have meant. */

/** The least number of letters to put in, take out, change or swap with the next, to make one word of another. */
const distance = (from: string, to: string): number => {
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, j) => j)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const change = from[i - 1] === to[j - 1] ? 0 : 1
      let least = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change)
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      if (isSwap) least = Math.min(least, before[j - 2]! + 1)
      next.push(least)
    }
    before = row
    row = next
  }
  return row.at(-1)!
}

/** A word without what people leave out: `--record_size` is `recordsize`. */
const bare = (word: string): string => word.toLowerCase().replaceAll(/[-_ ]/g, '')

/** No command, option or key is longer; what is, is not looked at. */
const longest = 40

/**
 * The known word that is nearest to one that is not; null where none is near: a third of its letters, at most two,
 * may differ.
 */
export const nearest = (word: string, known: Iterable<string>): string | null => {
  const sought = bare(word.slice(0, longest))
  let best: string | null = null
  let least = Math.min(2, Math.floor(sought.length / 3)) + 1
  for (const candidate of known) {
    const far = distance(sought, bare(candidate))
    if (far < least) [best, least] = [candidate, far]
  }
  return best
}

/** `; did you mean record_size?`, or nothing. */
export const meant = (word: string, known: Iterable<string>): string => {
  const near = nearest(word, known)
  return near === null ? '' : `; did you mean ${near}?`
}
