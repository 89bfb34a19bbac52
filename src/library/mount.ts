/**
 * A mount for a program that goes on with its own work. A thread of its own attaches the sources and serves the
 * kernel, so that this program may look into the mount as into any folder: with readFileSync, or with a child that it
 * waits for. A thread that serves cannot look itself: it would wait for its own answer.
 */
import { Worker } from 'node:worker_threads'
import type { AttachOptions } from '../attach.js'
import { receivedError, StoreError, type SentError } from '../pstore/errors.js'
import type { Subdirs } from '../tree/tree.js'

/** A store to be mounted, and how it is attached. */
export interface MountSource extends Omit<AttachOptions, 'report' | 'progress' | 'map'> {
  /** `[DRIVER:]PATH`, as of {@link attach}. */
  source: string
}

/** How a mount looks. */
export interface MountOptions {
  /** Nothing can be erased through it. Default: false. */
  readOnly?: boolean
  /** Options as mount(8) spells them: `allow_other`, `noexec`, …. */
  options?: readonly string[]
  /** Folders of backends: `visible`, the default; `hidden`, but there; `off`. */
  subdirs?: Subdirs
  /** The owner of all files. Default: this process's user. */
  uid?: number
  /** Their group. Default: this process's. */
  gid?: number
  /** Permission bits that no file has. Default: none. */
  umask?: number
  /** Told in a line what goes wrong while the mount is in use, as a source that cannot be read. */
  report?: (problem: string) => void
}

/** A mount that answers. It keeps the process running; when the process ends, it is unmounted. */
export interface Mount {
  /** What was doubtful of the sources, as of {@link Backend.notes}. */
  readonly notes: readonly string[]
  /** Resolves once the file system is unmounted, by any process. */
  readonly ended: Promise<void>
  /**
   * Unmount, even while files are open: whoever has one gets ENOTCONN.
   *
   * @throws StoreError (EBUSY) where that is not allowed
   */
  unmount(): Promise<void>
}

/** What the thread begins with. It takes one message then, whatever it is: to unmount. */
export interface Begin extends Omit<MountOptions, 'report'> {
  readonly sources: readonly MountSource[]
  readonly mountpoint: string
}

export type Report =
  /** The mount answers; these are its sources' notes. */
  | { readonly mounted: readonly string[] }
  /** While it is in use. */
  | { readonly problem: string }
  /** It could not be unmounted. */
  | { readonly stays: SentError }
  /** The last that the thread says: why there is no mount. */
  | { readonly error: SentError }

const allSubdirs: readonly Subdirs[] = ['visible', 'hidden', 'off']

const isId = (value: unknown): boolean =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32

/** What each option must be, in words, and whether a value is that. */
const kinds: {
  readonly [name in keyof MountOptions]-?: readonly [words: string, is: (value: unknown) => boolean]
} = {
  readOnly: ['a boolean', value => typeof value === 'boolean'],
  options: [
    'a list of texts',
    value => Array.isArray(value) && value.every(one => typeof one === 'string'),
  ],
  subdirs: [allSubdirs.join(' or '), value => allSubdirs.some(one => one === value)],
  uid: ['a number from 0', isId],
  gid: ['a number from 0', isId],
  umask: ['bits, as 0o077', value => isId(value) && Number(value) <= 0o777],
  report: ['a function', value => typeof value === 'function'],
}

/** Refuse what is no option, and what is of another kind: a mistyped readOnly would be a mount in which rm erases. */
const checkOptions = (options: MountOptions): void => {
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name as keyof MountOptions] : null
    if (!kind)
      throw new StoreError(
        `${name}: not an option of mount, which takes ${Object.keys(kinds).join(', ')}`,
      )
    const [words, is] = kind
    if (value !== undefined && !is(value)) throw new StoreError(`${name}: must be ${words}`)
  }
}

/** As little memory as serving takes, and nothing that node was told to load for the main thread. */
const workerOptions = { resourceLimits: { maxYoungGenerationSizeMb: 4 }, execArgv: [] }

/**
 * Mount stores on a folder, as `pstorefs mount` does. It is unmounted by {@link Mount.unmount}, by umount(8), or when
 * this process ends, however it ends.
 *
 * @param sources one SOURCE, or several stores with their options, each with a `name` of its own; the first has its
 *   records in the root, too
 * @param mountpoint a folder
 * @returns once the mount answers
 * @throws StoreError where a source cannot be attached, or the mount is refused
 * @example
 * ```ts
 * import { readdirSync } from 'node:fs'
 * import { mount } from 'pstorefs'
 *
 * const mounted = await mount('region.img', 'mnt', { readOnly: true })
 * console.log(readdirSync('mnt'))
 * await mounted.unmount()
 * ```
 */
export const mount = async (
  sources: string | MountSource | readonly MountSource[],
  mountpoint: string,
  options: MountOptions = {},
): Promise<Mount> => {
  if (typeof mountpoint !== 'string')
    throw new StoreError(`mountpoint ${String(mountpoint)}: must be a path`)
  checkOptions(options)
  const { report, ...rest } = options
  const list = typeof sources === 'string' ? [{ source: sources }] : [sources].flat()
  const workerData: Begin = { sources: list, mountpoint, ...rest }
  const worker = new Worker(new URL('./mounted.js', import.meta.url), {
    ...workerOptions,
    workerData,
  })
  let failure: Error | null = null
  let failed: ((why: Error) => void) | null = null
  let tellMounted = (_notes: readonly string[]): void => {}
  const mounted = new Promise<readonly string[]>(resolve => (tellMounted = resolve))
  worker.on('message', (said: Report) => {
    if ('mounted' in said) tellMounted(said.mounted)
    else if ('problem' in said) report?.(said.problem)
    else if ('stays' in said) failed?.(receivedError(said.stays))
    else failure = receivedError(said.error)
  })
  worker.on('error', (error: Error) => (failure = error))
  const ended = new Promise<void>((resolve, reject) => {
    worker.once('exit', () => (failure ? reject(failure) : resolve()))
  })
  // Whoever awaits the end hears of a failure then.
  ended.catch(() => {})
  const notes = await Promise.race([mounted, ended])
  if (!notes) throw new StoreError(`${mountpoint}: was unmounted before it answered`, 'EIO')
  const unmount = (): Promise<void> =>
    new Promise((resolve, reject) => {
      failed = reject
      ended.then(resolve, reject)
      worker.postMessage('unmount')
    })
  return { notes, ended, unmount }
}
