/** What goes to stdout in pieces: however much a store makes of it, it is never whole in memory. */
import fs from 'node:fs'

/** How much text is gathered for one write, in characters. */
const batch = 65536

/** How long a full pipe is left alone, in ms: a quick reader loses no time, a slow one costs none. */
const shortestWait = 0.05
const longestWait = 10
const nobody = new Int32Array(new SharedArrayBuffer(4))

/** Write to stdout and wait for it: a pipe that is full makes write(2) say EAGAIN. */
export const writeAll = (bytes: Uint8Array): void => {
  let wait = shortestWait
  for (let done = 0; done < bytes.length;) {
    try {
      done += fs.writeSync(1, bytes, done)
      wait = shortestWait
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Who reads no further has seen enough.
      if (code === 'EPIPE') process.exit(0)
      if (code !== 'EAGAIN') throw error
      Atomics.wait(nobody, 0, 0, wait)
      wait = Math.min(2 * wait, longestWait)
    }
  }
}

/** Print pieces of text as they come; what came before one that throws is printed. */
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

/** Controls that JSON leaves as they are, and a terminal does not. */
const controls = /[\x7f-\x9f]/g

/** A value as JSON for programs, which people see on their terminals too: indented by a blank a level. */
export const json = (value: unknown): string =>
  JSON.stringify(value, null, 1).replace(
    controls,
    control => `\\u00${control.charCodeAt(0).toString(16)}`,
  )

/** An array like that, of what is shown of each member, one at a time. */
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

/** An object like that, whose values come in pieces. */
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

/** Print a document of JSON. */
export const printJson = (pieces: Iterable<string>): void => {
  print(pieces)
  print(['\n'])
}
