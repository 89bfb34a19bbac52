/** What a model shows of a store: the same words for every format. Read for tests only. */
import zlib from 'node:zlib'

export interface ModelFile {
  name: string
  /** st_size. */
  size: number
  /** mtime; null where the record has none. */
  time: { sec: bigint; nsec: number } | null
  bytes: Buffer
}

/** A place that a store has for a record, in the order in which they lie there. */
export interface ModelPlace {
  /** Its file's, without the suffix of those that cannot be expanded. */
  name: string
  state: 'sound' | 'empty' | 'erased' | 'unsigned' | 'damaged'
  /** The file that shows it; null where none does. */
  record: string | null
}

export interface Model {
  /** In the order in which Linux enumerates them. */
  files: ModelFile[]
  places: ModelPlace[]
}

/** doc/formats.md 2: the types by their numbers; 9 is 1.8's. */
export const typeNames = [
  'dmesg',
  'mce',
  'console',
  'ftrace',
  'rtas',
  'powerpc-ofw',
  'powerpc-common',
  'pmsg',
  'powerpc-opal',
  'tty',
] as const

/** doc/formats.md 1.7: the text of a raw deflate stream, at most so long; null where there is none. */
export const expand = (stream: Buffer, limit: number): Buffer | null => {
  try {
    return zlib.inflateRawSync(stream, { maxOutputLength: limit })
  } catch {
    return null
  }
}

/** doc/formats.md 1.7 and 2: a dump's file: its text, or under `.enc.z` the stream that has none. */
export const dumpFile = (
  stem: string,
  time: ModelFile['time'],
  body: Buffer,
  text: Buffer | null,
  after = '',
): ModelFile => {
  const bytes = Buffer.concat([text ?? body, Buffer.from(after)])
  return {
    name: text ? stem : `${stem}.enc.z`,
    size: bytes.length,
    time: time?.sec === 0n ? null : time,
    bytes,
  }
}

/** A file's name without the suffix. */
export const stemOf = (name: string): string => name.replace(/\.enc\.z$/, '')

/** A ring's bytes, oldest first. */
export const unrolled = (ring: Buffer, start: number): Buffer =>
  Buffer.concat([ring.subarray(start), ring.subarray(0, start)])
