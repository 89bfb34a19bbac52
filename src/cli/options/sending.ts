/** What is made of an archive besides: --journal, --otlp, --textfile. */
import fs from 'node:fs'
import path from 'node:path'
import type { Argv } from 'yargs'
import { guarded } from '../../archive/entries.js'
import { Folder } from '../../native/folder.js'
import { isFolder } from '../../native/open.js'
import { standardInput } from '../../native/stdin.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import { fieldsOf, Journal } from '../../ship/journal.js'
import { numbersStart } from '../../ship/numbers.js'
import { claim, markSent, markUsed } from '../../ship/marks.js'
import { settingsOf } from '../../ship/otlp/settings.js'
import { waitingIn } from '../../ship/queue.js'
import { isReplaceable } from '../show/replaceable.js'
import { defaultTimeout, sendByOtlp, type OtlpOutcome } from './otlp.js'

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
export const checkSending = ({ otlp, textfile }: SendingArgs): void => {
  if (otlp !== undefined) settingsOf(otlp, process.env)
  if (textfile === standardInput)
    throw new StoreError('--textfile: -: name a file: standard output tells what is archived')
  if (textfile === undefined) return
  if (textfile === '' || isFolder(textfile))
    throw new StoreError(`--textfile: ${textfile || "''"}: must be a file's path`)
  guarded(textfile, () => Folder.any(path.dirname(textfile)).close())
  if (!isReplaceable(textfile, numbersStart))
    throw new StoreError(
      `--textfile: ${textfile}: holds something that is none of an archive's numbers: name another file`,
    )
}

/** Whether all has been sent; and for how long the collector wants nothing, in ms: null where it did not say. */
export type SendingOutcome = Pick<OtlpOutcome, 'isAll' | 'after'>

/** Send what an archive has not sent yet. What cannot be sent is told, and goes with the next run. */
export const sendFrom = async (
  dir: string,
  { journal, otlp, redact }: SendingArgs,
): Promise<SendingOutcome> => {
  // Where nothing could be archived there may be no archive.
  if ((!journal && otlp === undefined) || !fs.existsSync(dir)) return { isAll: true, after: null }
  const archive = guarded(dir, () => Folder.ours(dir, 'nothing'))
  try {
    // All ways first: while one takes its time, nothing that another has not taken may be pruned.
    if (journal) markUsed(archive, 'journal')
    if (otlp !== undefined) markUsed(archive, 'otlp')
    const isTold = !journal || (await toJournal(archive))
    if (otlp === undefined) return { isAll: isTold, after: null }
    const how = { url: otlp, redact, timeout: defaultTimeout }
    const { isAll, after } = await sendByOtlp(archive, how)
    return { isAll: isTold && isAll, after }
  } finally {
    archive.close()
  }
}

const toJournal = async (archive: Folder): Promise<boolean> => {
  let isAll = true
  const told = (why: string): void => {
    isAll = false
    tell(why)
  }
  const journal = new Journal()
  try {
    for (const { crash, folder } of waitingIn(archive, 'journal', told))
      try {
        if (!(await claim(folder, 'journal'))) continue
        const fields = readable(() => fieldsOf(path.resolve(archive.path), crash), told)
        if (!fields) continue
        await journal.add(fields)
        markSent(folder, 'journal')
      } finally {
        folder.close()
      }
  } catch (error) {
    assertStoreError(error)
    told(`${error.message}: the next run sends what is left`)
  } finally {
    journal.close()
  }
  return isAll
}

/** What is read of a crash; null, and told, where that cannot be: it holds up no other. */
const readable = <T>(read: () => T, told: (why: string) => void): T | null => {
  try {
    return read()
  } catch (error) {
    assertStoreError(error)
    told(error.message)
    return null
  }
}
