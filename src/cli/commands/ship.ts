/** `pstorefs ship`: send an archive's crashes to a collector, each once it has been taken for good. */
import type { CommandModule } from 'yargs'
import { entriesOf, guarded, mayBecomeArchive } from '../../archive/entries.js'
import { Folder } from '../../native/folder.js'
import { StoreError } from '../../pstore/errors.js'
import { oneLine } from '../../service/log.js'
import { printLine } from '../show/output.js'
import { crashes, defaultTimeout, sendByOtlp, type OtlpArgs } from '../options/otlp.js'
import { parseSeconds } from '../options/seconds.js'

interface Args extends OtlpArgs {
  dir: string
}

/** The exit code where a crash is not sent. */
const incompleteExit = 1

const details =
  'Sends the crashes of an archive that have not been sent yet to an OpenTelemetry Collector, or whatever else takes ' +
  'OTLP/HTTP logs, at URL; /v1/logs is added to one that does not end so. A crash is marked as sent once all of it ' +
  'has been taken; else the next run sends it again, with the same log.record.uid. While nothing is taken it is tried ' +
  'for --timeout seconds. The variables OTEL_EXPORTER_OTLP_… say the URL, headers, certificates, compression ' +
  'and form, as for every exporter. The exit code is 1 where a crash is left.'

export const ship: CommandModule<object, Args> = {
  command: 'ship <dir> [url]',
  describe: 'send the crashes of an archive to an OpenTelemetry Collector',
  builder: argv =>
    argv
      .usage(`$0 ship DIR [URL] [options]\n\n${details}`)
      .positional('dir', {
        type: 'string',
        demandOption: true,
        describe: 'the archive, as `archive` makes it',
      })
      .positional('url', {
        type: 'string',
        defaultDescription: 'http://localhost:4318',
        describe: 'the collector; without it the environment says it',
      })
      .option('redact', {
        type: 'boolean',
        default: false,
        describe: "take out MAC and IP addresses, host names and the command line's values",
      })
      .option('timeout', {
        type: 'string',
        requiresArg: true,
        coerce: parseSeconds,
        default: defaultTimeout,
        describe: 'seconds to go on trying while nothing is taken',
      })
      .check(
        ({ timeout }) =>
          (Number.isFinite(timeout) && timeout >= 0) || '--timeout: give seconds from 0',
      )
      .example('$0 ship /var/lib/crashes http://collector:4318', '')
      .example('$0 ship /var/lib/crashes --redact', ''),
  handler: async args => {
    const { dir } = args
    const archive = guarded(dir, () => Folder.ours(dir, 'nothing'))
    try {
      const isEmpty = checkArchive(archive)
      const { sent, isAll, to } = await sendByOtlp(archive, args)
      if (!isAll) process.exitCode = incompleteExit
      const none = isEmpty ? 'no crash is in it' : 'nothing is left to send'
      const what = sent === 0 && isAll ? none : sentLine(sent, to)
      printLine(oneLine(`${dir}: ${what}`))
    } finally {
      archive.close()
    }
  },
}

/**
 * Whether an archive has no crash.
 *
 * @throws StoreError where it is none: else whoever names another folder would believe for ever that all is sent
 */
const checkArchive = (archive: Folder): boolean => {
  let isUnusable = false
  const { done = false } = entriesOf(archive, () => (isUnusable = true)).next()
  if (done && !isUnusable && !mayBecomeArchive(archive))
    throw new StoreError(
      `${archive.path}: is no archive: what is in it is no crash's folder; of a store, or of copied records, ` +
        '`pstorefs archive --keep` makes one',
    )
  return done
}

const sentLine = (sent: number, to: string): string => `${crashes(sent)} sent to ${to}`
