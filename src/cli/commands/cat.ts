/** `pstorefs cat`: print records' bytes, exactly as the mounted files have them, or as they lie in the store. */
import type { CommandModule } from 'yargs'
import { AndroidLog } from '../../decoders/android.js'
import type { Backend } from '../../pstore/backend.js'
import { contentOf, chunksOf } from '../../pstore/content.js'
import { describeCut } from '../../pstore/condition.js'
import { StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import {
  namesHelp,
  placesNamed,
  recordsNamed,
  requirePmsg,
  type SourceAndNames,
} from '../options/named-records.js'
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
        defaultDescription: 'the newest dump, or the record that SOURCE is',
        describe: namesHelp,
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
        ({ raw, salvage, android }) =>
          Number(raw) + Number(salvage) + Number(android) < 2 ||
          'Give only one of --raw, --salvage and --android',
      )
      .epilogue(
        'A terminal gets control characters as ^[ and the like. Pipes and files get the bytes unchanged, and ' +
          'so does a terminal with --raw.',
      )
      .example('$0 cat dump.bin', 'the newest dump')
      .example('$0 cat dump.bin dmesg-ramoops-0 --record-size 64K', '')
      .example("$0 cat dump.bin console 'dmesg*'", 'in short')
      .example('$0 cat dmesg-ramoops-0.enc.z', 'a copied record')
      .example('$0 cat dump.bin dmesg-ramoops-0.enc.z --salvage', '')
      .example('$0 cat dump.bin pmsg-ramoops-0 --android --preset crosvm', ''),
  handler: given => {
    const backend = attachToRead(given)
    try {
      const names = given.names.length > 0 ? given.names : usualNames(backend, given)
      // All or nothing: a missing name stops the command before it prints.
      const contents = contentsOf(backend, { ...given, names })
      const filtered = process.stdout.isTTY && !given.raw
      for (const pieces of contents)
        for (const bytes of filtered ? forTerminal(pieces()) : pieces()) writeAll(bytes)
    } finally {
      backend.close()
    }
  },
}

/** The exit code where nothing is left of what is asked for. */
const nothingExit = 1

/** What is printed where no name is given. */
const usualNames = (backend: Backend, { android }: Args): string[] => {
  const names = backend.identity.hasNames ? [...backend.names()] : []
  return names.length === 1 ? names : [android ? 'pmsg' : 'dmesg']
}

function* forTerminal(pieces: Iterable<Buffer>): Generator<Buffer, void, void> {
  const filter = terminalFilter()
  for (const bytes of pieces) yield Buffer.from(filter(bytes))
  yield Buffer.from(filter(Buffer.alloc(0), true))
}

/** A source of bytes for each name, in turn; throws where one of the names is missing. */
const contentsOf = (backend: Backend, args: Args): (() => Iterable<Buffer>)[] => {
  const { names, raw, salvage, android } = args
  const rawBytes = (name: string): Buffer | null =>
    backend.survey.raw(name, cut => tell(describeCut(name, cut)))
  if (android) {
    const records = recordsNamed(backend, args, 'newest')
    requirePmsg(records)
    return records.map(
      ({ name }) =>
        () =>
          androidLines(name, rawBytes(name)!),
    )
  }
  if (!raw && !salvage)
    return recordsNamed(backend, args, 'newest').map(({ name, compressed }) => {
      if (compressed && !names.includes(name))
        tell(`${name}: cannot be inflated: these are its bytes (--salvage gives what text is left)`)
      return () => piecesOf(backend, name)
    })
  const { survey } = backend
  if (raw) {
    const places = placesNamed(backend, args, 'zone', name => survey.raw(name) !== null)
    const contents = places.map(name => contentOf(rawBytes(name) ?? Buffer.alloc(0)))
    if (contents.every(({ length }) => length === 0))
      tell(`${places.join(', ')}: nothing is in there`)
    return contents.map(content => () => chunksOf(content))
  }
  const isLost = (name: string): boolean => survey.salvage(name) !== null
  return placesNamed(backend, args, 'broken dump or lost text', isLost).map(name => {
    const content = survey.salvage(name)
    if (content?.length === 0) {
      tell(`${name}: no text is left before the damage`)
      process.exitCode = nothingExit
    }
    return () => (content ? chunksOf(content) : [])
  })
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
