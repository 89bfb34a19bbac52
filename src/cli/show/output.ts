/** Output in pieces: however long a store's listing is, it is never whole in memory. */
import fs from 'node:fs'
import { inWords } from '../../native/words.js'
import { dieOf } from '../../native/signals.js'
import { StoreError } from '../../pstore/errors.js'
import { json } from '../../pstore/printable.js'

export { json }

/** Characters that are gathered for one write. */
const batch = 65536

/** Milliseconds between two tries to write to a full pipe: few for a quick reader, more for a slow one. */
const shortestWait = 0.05
const longestWait = 10
const nobody = new Int32Array(new SharedArrayBuffer(4))

/**
 * End this process where stdout has no reader any more, as SIGPIPE does: whoever reads has seen enough.
 *
 * @returns what else is wrong with stdout, in a line
 */
export const outputError = (error: unknown): StoreError => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EPIPE') dieOf('SIGPIPE')
  return new StoreError(`standard output: ${inWords(error)}`, code === 'ENOSPC' ? 'ENOSPC' : 'EIO')
}

/**
 * Write to stdout, and wait while it is a full pipe, where write(2) fails with EAGAIN.
 *
 * @throws StoreError where it cannot be written
 */
export const writeAll = (bytes: Uint8Array): void => {
  let wait = shortestWait
  for (let done = 0; done < bytes.length;) {
    try {
      done += fs.writeSync(1, bytes, done)
      wait = shortestWait
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw outputError(error)
      Atomics.wait(nobody, 0, 0, wait)
      wait = Math.min(2 * wait, longestWait)
    }
  }
}

/** Print a line of text. */
export const printLine = (text: string): void => writeAll(Buffer.from(`${text}\n`))

/** Print pieces of text as they come. Where making one throws, the earlier ones are printed. */
export const print = (
  pieces: Iterable<string>,
  write: (bytes: Buffer) => void = writeAll,
): void => {
  let held = ''
  try {
    for (const piece of pieces) {
      held += piece
      if (held.length < batch) continue
      write(Buffer.from(held))
      held = ''
    }
  } finally {
    write(Buffer.from(held))
  }
}

/** An array as {@link json}, one member at a time. */
export function* jsonArray<T>(
  members: Iterable<T>,
  show: (member: T) => unknown = member => member,
): Generator<string, void, void> {
  const pieces = function* (): Generator<string[], void, void> {
    for (const member of members) yield [json(show(member))]
  }
  yield* arrayOf(pieces())
}

/** An array as {@link json}, each member of which comes in pieces. */
export function* arrayOf(members: Iterable<Iterable<string>>): Generator<string, void, void> {
  let before = '['
  for (const member of members) {
    yield `${before}\n `
    for (const piece of member) yield piece.replaceAll('\n', '\n ')
    before = ','
  }
  yield before === '[' ? '[]' : '\n]'
}

/** An object as {@link json}, whose values come in pieces. */
export function* jsonObject(
  members: Iterable<readonly [name: string, value: Iterable<string>]>,
): Generator<string, void, void> {
  let before = '{'
  for (const [name, value] of members) {
    yield `${before}\n ${json(name)}: `
    for (const piece of value) yield piece.replaceAll('\n', '\n ')
    before = ','
  }
  yield '\n}'
}

/** Print a JSON document. */
export const printJson = (pieces: Iterable<string>): void => {
  print(pieces)
  print(['\n'])
}
