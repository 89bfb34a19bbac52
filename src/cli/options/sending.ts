/** What is made of an archive besides: --journal, --otlp, --textfile. */
import fs from 'node:fs'
import type { Argv } from 'yargs'
import { entriesOf, guarded } from '../../archive/entries.js'
import { Folder } from '../../native/folder.js'
import { StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import { Journal } from '../../ship/journal.js'
import { markSent, markUsed, usedChannels, type Channel } from '../../ship/marks.js'
import { numbersOf, writeNumbers, type RunNumbers } from '../../ship/numbers.js'
import { settingsOf } from '../../ship/otlp/settings.js'
import { waitingIn } from '../../ship/queue.js'
import { defaultTimeout, sendByOtlp } from './otlp.js'

export interface SendingArgs {
  journal: boolean
  otlp: string | undefined
  redact: boolean
  textfile: string | undefined
}

export const sendingOptions = <T>(argv: Argv<T>): Argv<T & SendingArgs> =>
  argv
    .option('journal', {
      type: 'boolean',
      default: false,
      describe: 'write each crash to the journal, once',
    })
    .option('otlp', {
      type: 'string',
      requiresArg: true,
      describe: 'send each crash to the OpenTelemetry Collector at URL, as `ship` does',
    })
    .option('redact', {
      type: 'boolean',
      default: false,
      describe: "with --otlp: take out addresses, host names and the command line's values",
    })
    .option('textfile', {
      type: 'string',
      requiresArg: true,
      describe: "write the archive's numbers to FILE, for node_exporter",
    })

/**
 * Look whether what a command was given can be followed, before anything is done.
 *
 * @throws StoreError where it cannot
 */
export const checkSending = ({ otlp }: SendingArgs): void => {
  if (otlp !== undefined) settingsOf(otlp, process.env)
}

/** What a run knows of its backends. */
export type BackendNumbers = Pick<RunNumbers, 'waiting' | 'unattached'>

/**
 * Send what an archive has not sent yet, and write its numbers. What cannot be sent is told, and goes with the next
 * run.
 *
 * @returns whether all has been sent
 */
export const sendFrom = async (
  dir: string,
  args: SendingArgs,
  backends: BackendNumbers,
): Promise<boolean> => {
  const { journal, otlp, redact, textfile } = args
  if (!journal && otlp === undefined && textfile === undefined) return true
  // Where nothing could be archived there may be no archive.
  if (!fs.existsSync(dir)) return true
  const archive = guarded(dir, () => Folder.ours(dir, 'nothing'))
  try {
    let isAll = !journal || (await toJournal(archive))
    if (otlp !== undefined) {
      const sent = await sendByOtlp(archive, { url: otlp, redact, timeout: defaultTimeout })
      isAll &&= sent.isAll
    }
    if (textfile !== undefined) writeNumbers(textfile, numbersIn(archive, backends))
    return isAll
  } finally {
    archive.close()
  }
}

const toJournal = async (archive: Folder): Promise<boolean> => {
  markUsed(archive, 'journal')
  let isAll = true
  const waiting = waitingIn(archive, 'journal', why => {
    isAll = false
    tell(why)
  })
  const journal = new Journal()
  try {
    for (const { crash, folder } of waiting)
      try {
        await journal.add(archive.path, crash)
        markSent(folder, 'journal')
      } finally {
        folder.close()
      }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    tell(`${error.message}: the next run sends what is left`)
    isAll = false
  } finally {
    journal.close()
  }
  return isAll
}

const numbersIn = (archive: Folder, backends: BackendNumbers): string => {
  const silently = (): void => {}
  const unsent = new Map<Channel, number>()
  for (const channel of usedChannels(archive)) {
    let count = 0
    for (const { folder } of waitingIn(archive, channel, silently)) {
      folder.close()
      count++
    }
    unsent.set(channel, count)
  }
  const ended = Math.floor(Date.now() / 1000)
  return numbersOf(entriesOf(archive, silently), { ...backends, unsent, ended })
}
