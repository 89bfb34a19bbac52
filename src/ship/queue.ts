/** The archive as a queue: its crashes that a channel has not sent yet. */
import { guarded, isPruned, partial, pending, readManifest } from '../archive/entries.js'
import type { Folder } from '../native/folder.js'
import { StoreError } from '../pstore/errors.js'
import { shippedCrash, type ShippedCrash } from './crash.js'
import { isSent, type Channel } from './marks.js'

/** A crash that is to be sent, in its folder, which whoever takes it closes. */
export interface Waiting {
  readonly crash: ShippedCrash
  readonly folder: Folder
}

/**
 * The crashes that have not been sent, in the order of their names, which begin with their times. One that is not
 * finished waits: what its guest appended may yet come.
 *
 * @param told is told, in a line, of what cannot be sent
 */
export function* waitingIn(
  archive: Folder,
  channel: Channel,
  told: (why: string) => void,
): Generator<Waiting, void, void> {
  const folders = guarded(archive.path, () => archive.entries())
    .filter(entry => entry.isDirectory() && !entry.name.startsWith(partial))
    .map(({ name }) => name)
    .toSorted()
  const unfinished = folders.filter(name => name.startsWith(pending))
  if (unfinished.length > 0)
    told(`${archive.path}: ${unfinished.join(', ')}: not sent until archive has finished it`)
  for (const name of folders) {
    if (name.startsWith(pending)) continue
    let folder: Folder | null = null
    let crash: ShippedCrash | null = null
    try {
      folder = guarded(`${archive.path}/${name}`, () => archive.folder(name))
      const manifest = isSent(folder, channel) ? null : readManifest(archive, name)
      crash = manifest && shippedCrash(folder, { folder: name, pending: false, manifest })
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (!isPruned(archive, name)) told(error.message)
    }
    if (folder && crash) yield { crash, folder }
    else folder?.close()
  }
}
