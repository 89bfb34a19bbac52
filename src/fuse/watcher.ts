/** The process that unmounts a mount whose daemon was killed, and removes the folder that was made for a mount. */
import { spawn } from 'node:child_process'
import { findFusermount, searched } from './fusermount.js'
import { spelled, type } from './mounts.js'

/**
 * Takes the mountpoint, the same as mountinfo spells it, a word where its folder is to be removed, and the command that unmounts.
 *
 * It waits for a line, which ends the watch, or for the end of the pipe, which comes with the daemon's. A service
 * manager sends its signals to all processes of a service, and the watcher has to outlive the daemon.
 * A mount that answers is another daemon's by then; the kernel may still have an answer of ours for a moment, so
 * it is asked twice. What is no mount of this program is not touched.
 */
const script = `
trap '' HUP INT QUIT TERM
at=$1 spelled=$2 made=$3
shift 3
# Nobody else's: rmdir takes no folder with anything in it, or on it.
remove() { [ -z "$made" ] || rmdir -- "$at"; }
read -r line && { remove; exit; }
[ -e "$at" ] && sleep 1 && [ -e "$at" ] && { remove; exit; }
dead=
while read -r _ _ _ _ folder rest; do
  [ "$folder" = "$spelled" ] || continue
  case $rest in *' - ${type} '*) dead=yes ;; *) dead= ;; esac
done </proc/self/mountinfo
[ -z "$dead" ] || { "$@" "$at"; remove; }
`

/**
 * Start a process that unmounts when this one is killed. It is best started before the mount is made, so that no
 * moment is without it. Once this process has become another user the watcher is still root's.
 *
 * @param mountpoint a real path, without links
 * @param isMade its folder was made for the mount, and is removed after it
 * @returns a function that ends the watch
 */
export const unmountWhenKilled = (mountpoint: string, isMade = false): (() => void) => {
  const command =
    process.getuid!() === 0
      ? ['umount', '-l', '--']
      : [findFusermount() ?? 'fusermount3', '-u', '-z', '--']
  const args = [
    '-c',
    script,
    'sh',
    mountpoint,
    spelled(mountpoint),
    isMade ? 'made' : '',
    ...command,
  ]
  const watcher = spawn('sh', args, {
    env: searched,
    // A working folder would keep its file system from being unmounted.
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  watcher.on('error', () => {}).unref()
  watcher.stdin.on('error', () => {})
  return () => {
    watcher.stdin.end('unmounted\n')
  }
}
