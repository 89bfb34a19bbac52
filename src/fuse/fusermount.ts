/** fusermount(1): its reasons for refusing a mount, and unmounting. */
import { spawn, spawnSync } from 'node:child_process'

/** mount(8) clears PATH. */
const env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }

/** mount(2)'s error for an ordinary user, and for root without CAP_SYS_ADMIN. */
const notPermitted = 'mount failed: Operation not permitted'
const hint = (): string =>
  process.getuid!() === 0
    ? ': a container needs --cap-add SYS_ADMIN for it'
    : ': is fusermount set-uid root?'

/**
 * The reason why a mount was refused. fusermount prints it, but libfuse closes its stderr; so fusermount is run
 * once more.
 *
 * @param options the mount options that are not libfuse's own
 * @returns fusermount's message; null where it prints none
 */
export const refusal = (mountpoint: string, options: readonly string[]): Promise<string | null> =>
  new Promise(resolve => {
    const list = options.length ? ['-o', options.join()] : []
    const asked = spawn('fusermount', [...list, '--', mountpoint], {
      // fusermount sends its /dev/fuse there.
      env: { ...env, _FUSE_COMMFD: '3' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
    let said = ''
    asked.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text))
    asked.on('error', () => resolve(null))
    asked.on('close', code => {
      // This time the mount worked: the obstacle is gone.
      if (code === 0) spawn('fusermount', ['-u', '-z', '--', mountpoint], { env, stdio: 'ignore' })
      const why = /^fusermount3?: (.+)$/m.exec(said)?.[1] ?? null
      resolve(why?.endsWith(notPermitted) ? `${why}${hint()}` : why)
    })
  })

/**
 * Start a process that unmounts when this one is killed. libfuse's auto_unmount is not enough: fusermount 3
 * first looks into the mount as root, whom another user's mount does not admit; and a look before the kernel has
 * closed our end (ECONNABORTED) takes the mount for a live one.
 *
 * @returns a function that ends the watch
 */
export const unmountWhenKilled = (mountpoint: string): (() => void) => {
  // Nothing is written to it, so its read ends with this process. A live mount may be in the place by then.
  const script = 'read -r line; [ -e "$1" ] || exec fusermount -u -z -- "$1"'
  const watcher = spawn('sh', ['-c', script, 'sh', mountpoint], {
    env,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watcher.on('error', () => {}).unref()
  watcher.stdin.on('error', () => {})
  return () => {
    watcher.kill()
  }
}

/** Unmount a mount that is not served any more; nothing happens where that is not allowed. */
export const unmountDead = (mountpoint: string): void => {
  spawnSync('fusermount', ['-u', '-z', '--', mountpoint], { env, stdio: 'ignore' })
}
