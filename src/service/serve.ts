/** Serving a mount: everything between a checked command line and the file system's end. */
import { inWords } from '../native/words.js'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { letGo } from '../native/collect.js'
import { libc } from '../native/libc.js'
import { mount as mountTree, type Mount } from '../fuse/mount.js'
import type { RecordFacts } from '../pstore/backend.js'
import { assertStoreError, StoreError } from '../pstore/errors.js'
import { count, describeCut } from '../pstore/condition.js'
import { Tree, type Subdirs } from '../tree/tree.js'
import { neverWait } from '../region/lock.js'
import { attachAs } from './attach-as.js'
import { Attached } from './attached.js'
import { checkFuse, checkMountpoint, clearDeadMount } from './checks.js'
import { isDaemon, reportReady } from './daemon.js'
import { log, logFromBackground, logOnce, subjectOf, tell } from './log.js'
import { notifyReady } from './notify.js'
import type { MountPlan } from './plan.js'
import { Pool } from './pool/pool.js'
import { becomeUser, findAccount } from './privileges.js'
import { servedHere, type Served } from './served.js'
import { makeStatus, statusAttribute } from './status.js'
import { watch } from './watch.js'

/** For how long a mount that answers already says so only once it is known what is odd of its sources, in ms. */
const doubtPatience = 1000

export interface ServeOptions {
  /** Print the requests of FUSE. */
  debug: boolean
  /** Make the folder where there is none, and remove it again after the mount. */
  makes: boolean
  /** Called once the mount answers. */
  onReady?: () => void
}

/** Make a folder, and those above it, one by one: Node's own way calls a read-only file system ENOENT. */
const makeFolders = (folder: string): boolean => {
  if (fs.existsSync(folder)) return false
  makeFolders(path.dirname(folder))
  fs.mkdirSync(folder, { mode: 0o755 })
  return true
}

/** The same; false where it is there, and a line where it cannot be made. */
const makeFolder = (folder: string): boolean => {
  try {
    return makeFolders(folder)
  } catch (error) {
    throw new StoreError(`${folder}: cannot be made: ${inWords(error)}`)
  }
}

/**
 * Attach, mount, and serve until the mount is unmounted; the process ends with the mount.
 *
 * @param plan makes the plan; called again on SIGHUP
 * @throws StoreError where the plan cannot be mounted
 */
export const serve = async (
  plan: () => MountPlan,
  folder: string,
  { debug, makes, onReady }: ServeOptions,
): Promise<never> => {
  const here = process.cwd()
  if (folder === '') throw new StoreError("mountpoint '': must be a path")
  const mountpoint = path.resolve(folder)
  const first = plan()
  await checkFuse(first.transport, first.passed)
  const account = first.user === undefined ? null : findAccount(first.user)
  if (account?.uid && first.mode === 'boot')
    throw new StoreError(`user ${account.name}: not with attach=boot, whose copies belong to root`)
  clearDeadMount(mountpoint)
  // Before anything is attached: attach=boot changes a source.
  const isMissing = makes && !fs.existsSync(mountpoint)
  const cover = !isMissing && checkMountpoint(mountpoint, first.passed.includes('nonempty'))
  // One source for as long as the mount lives, or this machine's own: nobody else waits for those.
  const pool = first.isSingle || first.mode === 'boot' ? null : new Pool(tell)
  const attached = new Attached((candidate, how) =>
    pool ? pool.attach(candidate, how) : servedHere(attachAs(candidate, how, tell)),
  )
  await pool?.begun()
  let { backends } = await attached.attach(first)
  neverWait()
  const nothingWritable = backends.every(backend => backend.readOnly)

  let subdirs = subdirsOf(first, mountpoint)
  const tree = new Tree(backends, {
    subdirs,
    uid: first.uid ?? process.getuid!(),
    gid: first.gid ?? process.getgid!(),
    umask: first.umask,
    onOpen: tellDamage,
    onErase: record => log('notice', `${record.name}: erased`),
    onAsk: {
      [statusAttribute]: () =>
        makeStatus(
          backends.map(one => [one, attached.sourceOf(one), damage.get(one) ?? []] as const),
          attached.failures,
        ),
    },
    onDrop: letGo,
  })
  // Node's own exit waits for a thread whose medium does not answer.
  const leave = (): never => (pool ? libc()._exit(0) : process.exit(0))
  let mounted: Mount | null = null
  let ending = false
  const end = (): void => {
    ending = true
    // This process may not unmount any more; the one that watches over the mount is still root.
    if (mounted && account?.uid) leave()
    mounted?.unmount().catch((error: Error) => tell(`${mountpoint}: ${error.message}`))
  }
  /** Read the config file again. */
  const reread = async (): Promise<void> => {
    try {
      const { next, attaching } = inFolder(here, () => {
        const again = plan()
        return { next: again, attaching: attached.attach(again) }
      })
      const { backends: all, added } = await attaching
      backends = all
      subdirs = subdirsOf(next, mountpoint)
      tree.replace(backends, subdirs)
      attached.closeAllBut(backends)
      if (String(next.passed) !== String(first.passed) || next.readOnly !== first.readOnly)
        log('warning', `${mountpoint}: changed mount options take effect with the next mount`)
      introduce(added, attached)
      void tellDoubts(added)
      notifyReady(statusOf(backends))
    } catch (error) {
      if (!(error instanceof StoreError) && !(error as NodeJS.ErrnoException).syscall) throw error
      tell(`${mountpoint}: config not reloaded: ${(error as Error).message}`)
    }
  }
  /** Show the file that has taken the place of a backend's. */
  const renew = async (old: Served): Promise<void> => {
    if (!attached.has(old)) return
    const renewed = await attached.renew(old)
    backends = backends.map(backend => (backend === old ? renewed : backend))
    tree.replace(backends, subdirs)
    attached.close(old)
    introduce([renewed], attached)
    void tellDoubts([renewed])
  }
  /** One after the other: a second one while the first still attaches reads what it has to. */
  let last = Promise.resolve()
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work)
    last = done.catch(() => {})
    return done
  }
  const onTerminal = process.stdin.isTTY
  // Before the mount, so that a signal unmounts it whenever it comes.
  process
    .on('SIGTERM', end)
    .on('SIGINT', end)
    .on('SIGHUP', () => {
      if (onTerminal && !hasTerminal()) end()
      else if (mounted) void inTurn(reread)
    })
  mounted = await mountTree(tree, mountpoint, {
    source: first.label,
    transport: first.transport,
    options: [...first.passed, ...(nothingWritable ? ['ro'] : [])],
    cover,
    isMade: isMissing && makeFolder(mountpoint),
    debug,
    report: problem => logOnce('error', subjectOf(problem), problem),
  })
  if (account?.uid) await pool?.attachEverywhere()
  if (account) becomeUser(account)
  if (ending) end()
  // A working folder would keep its file system from being unmounted.
  process.chdir('/')
  // Whoever reads meanwhile is answered.
  const doubts: string[] = []
  await Promise.race([tellDoubts(backends, line => doubts.push(line)), sleep(doubtPatience)])
  if (isDaemon()) {
    logFromBackground()
    for (const line of doubts) log('warning', line)
  }
  reportReady()
  onReady?.()
  notifyReady(statusOf(backends))
  introduce(backends, attached)
  watch(
    () => attached.watched(),
    old => inTurn(() => renew(old)),
  )
  await mounted.ended
  attached.closeAllBut([])
  return leave()
}

/** Where the kernel's own pstore is mounted: who reads it there expects no folders. */
const kernelsMountpoint = '/sys/fs/pstore'

const subdirsOf = ({ subdirs }: MountPlan, mountpoint: string): Subdirs =>
  subdirs ?? (mountpoint === kernelsMountpoint ? 'hidden' : 'visible')

const statusOf = (backends: readonly Served[]): string =>
  `${count(backends.length, 'backend')}: ${backends.map(({ name }) => name).join(', ')}`

/** Relative paths of a plan start from the folder in which the process was started. */
const inFolder = <T>(folder: string, work: () => T): T => {
  process.chdir(folder)
  try {
    return work()
  } finally {
    process.chdir('/')
  }
}

/** Whether the process still has its terminal: SIGHUP also tells that the terminal is gone. */
const hasTerminal = (): boolean => {
  try {
    fs.closeSync(fs.openSync('/dev/tty', fs.constants.O_RDONLY | fs.constants.O_NOCTTY))
    return true
  } catch {
    return false
  }
}

/** How many sources are named of which something is to be known. */
const listed = 10

/**
 * Log what has to be known of backends before their records.
 *
 * @param told is told the same
 */
const tellDoubts = async (
  backends: readonly Served[],
  told: (line: string) => void = () => {},
): Promise<void> => {
  let lines = 0
  const say = (line: string): void => {
    log('warning', line)
    told(line)
  }
  const ask = async (backend: Served): Promise<void> => {
    for (const line of await backend.doubts()) {
      if (++lines <= listed) say(line)
      if (lines === listed + 1) say('more sources are like that: see `pstorefs check`')
    }
  }
  // One that was detached meanwhile has no doubts.
  await Promise.all(backends.map(backend => ask(backend).catch(assertStoreError)))
}

/** Log that backends are attached, and their damaged zones. */
const introduce = (backends: readonly Served[], attached: Attached): void => {
  for (const backend of backends) {
    log('info', `${backend.name}: attached${backend.readOnly ? ' (read-only)' : ''}`)
    lookForDamage(backend, attached).catch((error: Error) => tell(error.message))
  }
}

/** What is known of backends' damage: a few lines of each. */
const damage = new WeakMap<Served, string[]>()

const lookForDamage = async (backend: Served, attached: Attached): Promise<void> => {
  const lines: string[] = []
  damage.set(backend, lines)
  for await (const line of backend.damage()) {
    if (!attached.has(backend)) return
    lines.push(line)
    log('warning', line)
  }
}

/** Log the damage of a record that is opened. */
const tellDamage = ({ name, ecc, compressed, cut }: RecordFacts): void => {
  if (cut) logOnce('warning', name, describeCut(name, cut))
  if (ecc?.bad)
    logOnce('warning', name, `${name}: damaged: ${count(ecc.bad, 'block')} beyond correction`)
  if (compressed) logOnce('warning', name, `${name}: damaged: cannot be inflated`)
}
