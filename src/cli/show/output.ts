/** Output in pieces: however long a store's listing is, it is never whole in memory. */
import fs from 'node:fs'
import { json } from '../../pstore/printable.js'

export { json }

/** Characters that are gathered for one write. */
const batch = 65536

/** Milliseconds between two tries to write to a full pipe: few for a quick reader, more for a slow one. */
const shortestWait = 0.05
const longestWait = 10
const nobody = new Int32Array(new SharedArrayBuffer(4))

/** Write to stdout, and wait while it is a full pipe, where write(2) fails with EAGAIN. */
export const writeAll = (bytes: Uint8Array): void => {
  let wait = shortestWait
  for (let done = 0; done < bytes.length;) {
    try {
      done += fs.writeSync(1, bytes, done)
      wait = shortestWait
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // The reader has seen enough.
      if (code === 'EPIPE') process.exit(0)
      if (code !== 'EAGAIN') throw error
      Atomics.wait(nobody, 0, 0, wait)
      wait = Math.min(2 * wait, longestWait)
    }
  }
}

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
  let before = '['
  for (const member of members) {
    yield `${before}\n ${json(show(member)).replaceAll('\n', '\n ')}`
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
