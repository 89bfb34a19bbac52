/** Stores and their zones in words. */
import type { Backend } from '../../pstore/backend.js'
import type { Condition } from '../../pstore/condition.js'
import { withoutControls } from '../../pstore/printable.js'
import { when } from './time.js'

/** A number of bytes for people. */
const humanSize = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB']
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 2 ** (10 * unit)
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}

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
  if (dump?.compressed && dump.text !== null) facts.push(`deflated from ${humanSize(dump.text)}`)
  if (start > 0 && start < used) facts.push(`wrapped at 0x${start.toString(16)}`)
  if (!dump && used > 0 && used === room) facts.push('full')
  return [state, ...facts, ...findings].join(', ')
}

/** A place, or a run of empty places that are alike. */
export interface Run {
  first: Condition
  /** The index of the last place. */
  last: number
  /** Bytes of all places. */
  length: number
  /** The number of places. */
  count: number
}

/** Whether a place is empty and unremarkable. */
const isPlain = ({ state, findings }: Condition): boolean =>
  (state === 'empty' || state === 'unsigned') && findings.length === 0

const areAlike = (a: Condition, b: Condition): boolean =>
  isPlain(a) && isPlain(b) && a.state === b.state && a.type === b.type

/** Group empty places that are alike. */
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

/** A run's texts in the columns of a table, without its type. */
export const cellsOf = ({ first, last, length, count }: Run) => ({
  indexes: count > 1 ? `${first.index}-${last}` : `${first.index}`,
  offset: first.offset === null ? '' : `0x${first.offset.toString(16)}`,
  size: humanSize(length),
  used: count > 1 ? '' : `${Math.ceil((first.used / Math.max(1, first.room)) * 100)} %`,
  words: describeCondition(first),
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
