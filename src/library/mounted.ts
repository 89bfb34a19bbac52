/** The thread that serves a mount of {@link mount}. It ends with the mount. */
import { parentPort, workerData } from 'node:worker_threads'
import { attach } from '../attach.js'
import { mount } from '../fuse/mount.js'
import type { Backend } from '../pstore/backend.js'
import { sentError } from '../pstore/errors.js'
import { patiently } from '../pstore/patience.js'
import { recordsOf } from '../pstore/records.js'
import { chosen } from '../pstore/select.js'
import { describeUnreadable } from '../pstore/unreadable.js'
import { neverWait } from '../region/lock.js'
import { Tree } from '../tree/tree.js'
import type { Begin, Report } from './mount.js'

const parent = parentPort
if (!parent) throw new Error('library/mounted.js is started by mount(), as a thread')
const { sources, mountpoint, readOnly = false, options = [], ...look } = workerData as Begin

const say = (report: Report): void => parent.postMessage(report)
const tell = (problem: string): void => say({ problem })

const backends: Backend[] = []
try {
  for (const { source, ...how } of sources)
    backends.push(attach(source, { ...how, ...(readOnly && { readOnly }) }))
  // Their names are folders'.
  chosen(backends, 'all')
  // Others are answered meanwhile.
  neverWait()
  const tree = new Tree(
    backends.map(backend => patiently(recordsOf(backend, what => tell(describeUnreadable(what))))),
    { ...look, uid: look.uid ?? process.getuid!(), gid: look.gid ?? process.getgid!() },
  )
  const isReadOnly = backends.every(backend => backend.readOnly)
  const mounted = await mount(tree, mountpoint, {
    source: sources.map(({ source }) => source).join(),
    options: [...options, ...(isReadOnly ? ['ro'] : [])],
    report: tell,
  })
  parent.on('message', () => {
    mounted.unmount().catch((error: unknown) => say({ stays: sentError(error) }))
  })
  say({ mounted: backends.flatMap(({ notes }) => notes) })
  await mounted.ended
} catch (error) {
  say({ error: sentError(error) })
} finally {
  for (const backend of backends) backend.close()
  parent.close()
}
