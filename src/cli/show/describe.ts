/** Stores and their zones in words. */
import type { Backend } from '../../pstore/backend.js'
import type { Condition } from '../../pstore/condition.js'
import { withoutControls } from '../../pstore/printable.js'
import { humanSize } from '../../pstore/sizes.js'
import type { Usage } from '../../pstore/types.js'
import { when } from './time.js'

const humanFact = ([name, value]: [string, string | number]): string =>
  name.endsWith('_size')
    ? `${name} ${humanSize(Number(value))}`
    : `${name} ${name === 'mem_address' ? `0x${value.toString(16)}` : value}`

/** The store in a line. */
export const headline = (source: string, { name, survey: { facts } }: Backend): string =>
  `${withoutControls(source)}: ${name}, ${Object.entries(facts).map(humanFact).join(', ')}`

/** The content of a place, and its state. */
const describeCondition = ({ state, findings, dump, start, used, room }: Condition): string => {
  const facts: string[] = []
  if (dump?.time) facts.push(when(dump.time))
  if (dump?.compressed && dump.text !== null) facts.push(`${dump.codec} of ${humanSize(dump.text)}`)
  if (start > 0 && start < used) facts.push(`wrapped at 0x${start.toString(16)}`)
  if (!dump && used > 0 && used === room) facts.push('full')
  return [state, ...facts, ...findings].join(', ')
}

/** How full a store of numbered records is, in a line. */
export const describeUsage = ({ records, size, free }: Usage): string =>
  `records take ${humanSize(records)} of ${humanSize(size)}, ${humanSize(free)} free`

/** A place, or a run of places that are alike and of which there is nothing else to say. */
export interface Run {
  first: Condition
  /** The index of the last place. */
  last: number
  /** Bytes of all places. */
  length: number
  /** The number of places. */
  count: number
}

/** Whether a place is empty, or has no place of its own, as a variable, and is unremarkable. */
const isPlain = ({ state, findings, offset }: Condition): boolean =>
  (state === 'empty' || state === 'unsigned' || (state === 'sound' && offset === null)) &&
  findings.length === 0

const areAlike = (a: Condition, b: Condition): boolean =>
  isPlain(a) && isPlain(b) && a.state === b.state && a.type === b.type

/** Group places that are alike. */
export function* runsOf(places: Iterable<Condition>): Generator<Run, void, void> {
  let run: Run | undefined
  for (const place of places) {
    const { index, length } = place
    if (run && areAlike(run.first, place)) {
      run.last = index
      run.length += length
      run.count++
      continue
    }
    if (run) yield run
    run = { first: place, last: index, length, count: 1 }
  }
  if (run) yield run
}

/** Places by their numbers; those that have none by how many they are. */
const indexesOf = ({ offset, index }: Condition, last: number, count: number): string => {
  if (offset === null) return count > 1 ? `x${count}` : ''
  return count > 1 ? `${index}-${last}` : `${index}`
}

/** A run's texts in the columns of a table, without its type. */
export const cellsOf = ({ first, last, length, count }: Run) => ({
  indexes: indexesOf(first, last, count),
  offset: first.offset === null ? '' : `0x${first.offset.toString(16)}`,
  size: humanSize(length),
  used:
    count > 1 || first.offset === null
      ? ''
      : `${Math.ceil((first.used / Math.max(1, first.room)) * 100)} %`,
  words: count > 1 ? first.state : describeCondition(first),
})

/** Break a text at its blanks. */
export const wrap = (text: string, width: number): string[] => {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line && line.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines
}
