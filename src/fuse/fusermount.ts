/** What libfuse leaves to fusermount(1), and does not get from it. */
import { spawn, spawnSync } from 'node:child_process'

/** mount(8) leaves no PATH. */
const env = { PATH: process.env.PATH ?? '/usr/bin:/bin' }

/** mount(2)'s word for whoever is not root, and for root without CAP_SYS_ADMIN. */
const notPermitted = 'mount failed: Operation not permitted'
const hint = (): string =>
  process.getuid!() === 0
    ? ': a container needs --cap-add SYS_ADMIN for it'
    : ': is fusermount set-uid root?'

/**
 * Why a mount was refused. fusermount says so, but libfuse closes its stderr; so it is asked once more.
 *
 * @param options those that are not libfuse's own
 * @returns its words; null where it has none
 */
export const refusal = (mountpoint: string, options: readonly string[]): Promise<string | null> =>
  new Promise(resolve => {
    const list = options.length ? ['-o', options.join()] : []
    const asked = spawn('fusermount', [...list, '--', mountpoint], {
      // Where it would send its /dev/fuse to.
      env: { ...env, _FUSE_COMMFD: '3' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
    let said = ''
    asked.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text))
    asked.on('error', () => resolve(null))
    asked.on('close', code => {
      // This time it did mount: what stood in the way is gone.
      if (code === 0) spawn('fusermount', ['-u', '-z', '--', mountpoint], { env, stdio: 'ignore' })
      const why = /^fusermount3?: (.+)$/m.exec(said)?.[1] ?? null
      resolve(why?.endsWith(notPermitted) ? `${why}${hint()}` : why)
    })
  })

/**
 * Have a process unmount when this one is killed. libfuse's auto_unmount is such a one, but fusermount 3
 * looks into the mount first, as root, whom a mount of somebody else's does not let in; and where it looks
 * before the kernel is done with our end (ECONNABORTED), it takes the mount for a live one.
 *
 * @returns what calls it off
 */
export const unmountWhenKilled = (mountpoint: string): (() => void) => {
  // Nobody writes: what it reads is the end. By then another mount may have taken the dead one's place.
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

/** Unmount what nobody serves any more; nothing where that is not allowed. */
export const unmountDead = (mountpoint: string): void => {
  spawnSync('fusermount', ['-u', '-z', '--', mountpoint], { env, stdio: 'ignore' })
}
