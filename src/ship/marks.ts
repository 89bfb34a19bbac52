/**
 * What of an archive was sent, and where to: the archive is the queue. A mark is a file in a crash's folder, made
 * once all of the crash has arrived; without it the crash is sent again. A name that begins with a dot is no record's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { guarded } from '../archive/entries.js'
import type { Folder } from '../native/folder.js'
import { StoreError } from '../pstore/errors.js'

/** A way out of the archive. */
const channels = ['journal', 'otlp'] as const
export type Channel = (typeof channels)[number]

const sentName = (channel: Channel): string => `.sent-${channel}`
const usedName = (channel: Channel): string => `.sends-${channel}`

const has = (folder: Folder, name: string): boolean =>
  guarded(`${folder.path}/${name}`, () => folder.has(name))

/** Has a crash been sent? Throws a StoreError where that cannot be looked at. */
export const isSent = (crash: Folder, channel: Channel): boolean => has(crash, sentName(channel))

/** How long another process may be sending a crash, and how often it is looked whether it is done, in ms. */
const patience = 10_000
const pause = 20

/**
 * Keep other processes from sending a crash until its folder is closed: two at once would send it twice.
 *
 * @returns whether it is to be sent still
 * @throws StoreError (EBUSY) where another process does not get done with it, or as {@link isSent}
 */
export const claim = async (crash: Folder, channel: Channel): Promise<boolean> => {
  for (let waited = 0; !crash.tryLock(); waited += pause) {
    if (waited >= patience)
      throw new StoreError(`${crash.path}: another process does not get done with it`, 'EBUSY')
    await sleep(pause)
  }
  return !isSent(crash, channel)
}

/** Note on the disk that a crash has been sent. Throws a StoreError where the disk takes no note. */
export const markSent = (crash: Folder, channel: Channel): void => mark(crash, sentName(channel))

/** Note that what an archive holds is sent, before the first is: until then nothing may be pruned. Throws as {@link markSent}. */
export const markUsed = (archive: Folder, channel: Channel): void =>
  mark(archive, usedName(channel))

/** The ways by which an archive's crashes are sent. Throws as {@link isSent}. */
export const usedChannels = (archive: Folder): Channel[] =>
  channels.filter(channel => has(archive, usedName(channel)))

/** Two processes may mark at once: whoever comes second finds it done, or the crash pruned. */
const mark = (folder: Folder, name: string): void =>
  guarded(`${folder.path}/${name}`, () => {
    if (folder.has(name)) return
    try {
      folder.write(name, [])
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EEXIST' && code !== 'ENOENT') throw error
    }
    folder.sync()
  })
