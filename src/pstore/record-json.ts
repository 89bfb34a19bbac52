/** A record as JSON has it: what `JSON.stringify` gives of one, and `pstorefs ls --json` prints. */
import type { RecordFacts, RecordJson } from './backend.js'
import { printTime } from './time.js'

/** @param backend its name */
export const toJson = (
  backend: string,
  { type, id, name, size, time, compressed, ecc }: RecordFacts,
): RecordJson => ({
  backend,
  type,
  id: String(id),
  name,
  size,
  mtime: time && printTime(time),
  compressed,
  ecc,
})
