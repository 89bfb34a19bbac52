/** An archive's crashes to a collector, as commands send them. */
import type { Folder } from '../../native/folder.js'
import { tell } from '../../service/log.js'
import { sendCrashes } from '../../ship/otlp/send.js'
import { settingsOf, shownWay } from '../../ship/otlp/settings.js'
import { progressCount } from '../show/progress.js'

/** Seconds in which something has to be taken. */
export const defaultTimeout = 60

export interface OtlpArgs {
  /** Undefined: the environment says it. */
  url: string | undefined
  redact: boolean
  /** Seconds. */
  timeout: number
}

/** How many crashes a run sent, and whether all that the archive holds has been sent. */
export interface OtlpOutcome {
  readonly sent: number
  readonly isAll: boolean
  /** As of Sent. */
  readonly after: number | null
  /** Where to, for messages. */
  readonly to: string
}

export const crashes = (n: number): string => `${n} ${n === 1 ? 'crash' : 'crashes'}`

/** Send what an archive has not sent yet. What is not taken is told, and goes with the next run. */
export const sendByOtlp = async (
  archive: Folder,
  { url, redact, timeout }: OtlpArgs,
): Promise<OtlpOutcome> => {
  const settings = settingsOf(url, process.env)
  const to = shownWay(settings)
  const counter = progressCount(`crashes sent to ${to}`)
  let isAll = true
  const { sent, waiting, why, after } = await sendCrashes(archive, {
    settings,
    redacts: redact,
    patience: timeout * 1000,
    tell: line => {
      isAll = false
      counter.clear()
      tell(line)
    },
    show: counter.show,
  }).finally(counter.clear)
  if (waiting > 0)
    tell(
      `${to}: ${why ?? 'did not take all'}: ${crashes(waiting)} ` +
        `${waiting === 1 ? 'waits' : 'wait'} in ${archive.path} for the next run`,
    )
  return { sent, isAll: isAll && waiting === 0, after, to }
}
