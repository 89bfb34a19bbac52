/**
 * What of an archive was sent, and where to: the archive is the queue. A mark is a file in a crash's folder, made
 * once all of the crash has arrived; without it the crash is sent again. A name that begins with a dot is no record's.
 */
import type { Folder } from '../native/folder.js'

/** A way out of the archive. */
export const channels = ['journal', 'otlp'] as const
export type Channel = (typeof channels)[number]

const sentName = (channel: Channel): string => `.sent-${channel}`
const usedName = (channel: Channel): string => `.sends-${channel}`

/** Has a crash been sent? */
export const isSent = (crash: Folder, channel: Channel): boolean => crash.has(sentName(channel))

/** Note on the disk that a crash has been sent. */
export const markSent = (crash: Folder, channel: Channel): void => mark(crash, sentName(channel))

/** Note that what an archive holds is sent, before the first is: until then nothing may be pruned. */
export const markUsed = (archive: Folder, channel: Channel): void =>
  mark(archive, usedName(channel))

/** The ways by which an archive's crashes are sent. */
export const usedChannels = (archive: Folder): Channel[] =>
  channels.filter(channel => archive.has(usedName(channel)))

/** Two processes may mark at once: whoever comes second finds it done. */
const mark = (folder: Folder, name: string): void => {
  if (folder.has(name)) return
  try {
    folder.write(name, [])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  folder.sync()
}
