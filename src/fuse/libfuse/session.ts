/** A fuse-native session that can cover an existing mount. */
import { createRequire } from 'node:module'
import path from 'node:path'
import Fuse, { type Binding } from 'fuse-native'

/** The native part, as fuse-native loads it. */
const loadBinding = (): Binding => {
  const main = createRequire(import.meta.url).resolve('fuse-native')
  const load = createRequire(main)('node-gyp-build') as (folder: string) => Binding
  return load(path.dirname(main))
}

/**
 * A session that covers an existing mount. fuse-native refuses a mountpoint that is a mount before it calls its
 * native part, and has no option against that; this method does the rest of its work.
 */
export class CoveringSession extends Fuse {
  protected override _open(cb: (error?: Error | null) => void): void {
    const binding = loadBinding()
    this._thread = Buffer.alloc(binding.sizeof_fuse_thread_t)
    this._openCallback = cb
    try {
      binding.fuse_native_mount(
        this.mnt,
        this._fuseOptions(),
        this._thread,
        this,
        this._malloc,
        this._handlers,
        this._getImplementedArray(),
      )
    } catch (error) {
      cb(error as Error)
    }
  }
}
