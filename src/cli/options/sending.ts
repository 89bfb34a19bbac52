/** Where an archive's crashes go besides: --journal. */
import type { Argv } from 'yargs'
import { Folder } from '../../native/folder.js'
import { guarded } from '../../archive/entries.js'
import { StoreError } from '../../pstore/errors.js'
import { tell } from '../../service/log.js'
import { Journal } from '../../ship/journal.js'
import { markSent, markUsed } from '../../ship/marks.js'
import { waitingIn } from '../../ship/queue.js'

export interface SendingArgs {
  journal: boolean
}

export const sendingOptions = <T>(argv: Argv<T>): Argv<T & SendingArgs> =>
  argv.option('journal', {
    type: 'boolean',
    default: false,
    describe: 'write each crash to the journal, once',
  })

/**
 * Send what an archive has not sent yet. What cannot be sent is told, and goes with the next run.
 *
 * @returns whether all has been sent
 */
export const sendFrom = async (dir: string, { journal }: SendingArgs): Promise<boolean> => {
  if (!journal) return true
  const archive = guarded(dir, () => Folder.ours(dir, 'nothing'))
  try {
    return await toJournal(archive)
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
