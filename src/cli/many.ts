/** What there may be a few of, or half a million. */

/** How many are kept in memory rather than made again. */
const mostKept = 4096

/**
 * What gives the members of a list as often as they are asked for.
 *
 * @param make is asked again where they are many; then they may be others the next time
 */
export const asOften = <T>(make: () => Iterable<T>): (() => Iterable<T>) => {
  const kept: T[] = []
  for (const one of make()) {
    if (kept.length === mostKept) return make
    kept.push(one)
  }
  return () => kept
}

/** What is made of each member, one at a time. */
export function* mapped<T, U>(all: Iterable<T>, make: (one: T) => U): Generator<U, void, void> {
  for (const one of all) yield make(one)
}
