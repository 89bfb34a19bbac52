/** `pstorefs cat`: print records' bytes, exactly as the mounted files have them, or as they lie in the store. */
import fs from 'node:fs'
import type { CommandModule } from 'yargs'
import { findDriver, parseSource } from '../../attach.js'
import { AndroidLog } from '../../decoders/android.js'
import type { Backend } from '../../pstore/backend.js'
import { contentOf, chunksOf, type Content } from '../../pstore/content.js'
import { describeCut } from '../../pstore/condition.js'
import { StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import { recordsNamed, requirePmsg, type SourceAndNames } from '../options/named-records.js'
import { writeAll } from '../show/output.js'
import { attachToRead, withSource } from '../options/source.js'
import { terminalFilter } from '../../pstore/printable.js'

interface Args extends SourceAndNames {
  raw: boolean
  salvage: boolean
  android: boolean
}

export const cat: CommandModule<object, Args> = {
  command: 'cat <source> [names..]',
  describe: "print records' bytes",
  builder: argv =>
    withSource(argv)
      .positional('names', {
        type: 'string',
        array: true,
        default: [] as string[],
        defaultDescription: 'the record that SOURCE is',
        describe: 'as `pstorefs ls` prints them',
      })
      .option('raw', {
        type: 'boolean',
        default: false,
        describe:
          "print zones' bytes as they lie in the region, also of zones that only `ls --all` lists",
      })
      .option('salvage', {
        type: 'boolean',
        default: false,
        describe:
          'print the text before the damage, of a dump that cannot be inflated, or the text behind a header ' +
          'that is damaged, or of what was erased',
      })
      .option('android', {
        type: 'boolean',
        default: false,
        describe: "print Android's binary log in pmsg as logcat does",
      })
      .check(
        ({ source, names }) =>
          names.length > 0 ||
          isRecord(source) ||
          'cat: NAMES is missing, e.g. pstorefs cat region.img dmesg-ramoops-0',
      )
      .check(
        ({ raw, salvage, android }) =>
          Number(raw) + Number(salvage) + Number(android) < 2 ||
          'Give only one of --raw, --salvage and --android',
      )
      .epilogue(
        'A terminal gets control characters as ^[ and the like. Pipes and files get the bytes unchanged, and ' +
          'so does a terminal with --raw.',
      )
      .example('$0 cat dump.bin dmesg-ramoops-0 --record-size 64K', '')
      .example('$0 cat dmesg-ramoops-0.enc.z', 'a copied record')
      .example('$0 cat dump.bin dmesg-ramoops-0.enc.z --salvage', '')
      .example('$0 cat dump.bin pmsg-ramoops-0 --android --preset crosvm', ''),
  handler: given => {
    const backend = attachToRead(given)
    try {
      const names = given.names.length > 0 ? given.names : [...backend.names()]
      const args = { ...given, names }
      // All or nothing: a missing name stops the command before it prints.
      const contents = contentsOf(backend, args)
      const filtered = process.stdout.isTTY && !args.raw
      for (const pieces of contents)
        for (const bytes of filtered ? forTerminal(pieces()) : pieces()) writeAll(bytes)
    } finally {
      backend.close()
    }
  },
}

/** Is SOURCE a file that is a record itself? */
const isRecord = (source: string): boolean => {
  const { driver, path } = parseSource(source)
  if (!fs.statSync(path, { throwIfNoEntry: false })?.isFile()) return false
  return (driver ?? findDriver(path)) === 'records'
}

function* forTerminal(pieces: Iterable<Buffer>): Generator<Buffer, void, void> {
  const filter = terminalFilter()
  for (const bytes of pieces) yield Buffer.from(filter(bytes))
  yield Buffer.from(filter(Buffer.alloc(0), true))
}

/** A source of bytes for each name, in turn; throws where one of the names is missing. */
const contentsOf = (backend: Backend, args: Args): (() => Iterable<Buffer>)[] => {
  const { source, names, raw, salvage, android } = args
  if (android) {
    const records = recordsNamed(backend, args)
    requirePmsg(records)
    return records.map(
      ({ name }) =>
        () =>
          androidLines(
            name,
            backend.survey.raw(name, cut => tell(describeCut(name, cut)))!,
          ),
    )
  }
  if (!raw && !salvage)
    return recordsNamed(backend, args).map(
      ({ name }) =>
        () =>
          piecesOf(backend, name),
    )
  const rawContent = (name: string): Content | null => {
    const bytes = backend.survey.raw(name, cut => tell(describeCut(name, cut)))
    return bytes && contentOf(bytes)
  }
  const contents = names.map(name => {
    const content = raw ? rawContent(name) : backend.survey.salvage(name)
    if (content) return content
    throw new StoreError(
      `${source}: ${raw ? `has no zone ${name}` : `${name} is not a compressed dump, and no lost text`}`,
      'ENOENT',
    )
  })
  return contents.map(content => () => chunksOf(content))
}

/** A record's bytes as they are by now; what is left out of them is said. */
function* piecesOf(backend: Backend, name: string): Generator<Buffer, void, void> {
  const opened = backend.open(name)
  if (!opened) throw new StoreError(`${name}: no such record`, 'ENOENT')
  const { cut } = opened.record
  if (cut) tell(describeCut(name, cut))
  yield* chunksOf(opened.content)
}

function* androidLines(name: string, bytes: Buffer): Generator<Buffer, void, void> {
  const log = new AndroidLog()
  for (const piece of chunksOf(contentOf(bytes))) yield log.decode(piece)
  if (log.count === 0) throw new StoreError(`${name}: holds no Android log; try without --android`)
  if (log.skipped) tell(`${name}: skipped ${log.skipped} bytes that are not an Android log`)
}
