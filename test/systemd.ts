/** A systemd of the test's own, as PID 1 of namespaces of its own: real units, a real journal. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import type { Test } from 'tap'
import { project, run, until } from './program.js'

export const systemd = '/lib/systemd/systemd'

/** Of the system's own units these alone are there: nothing that tidies up, sets up or tunes a machine. */
const units = (
  'systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket ' +
  'local-fs.target local-fs-pre.target shutdown.target umount.target'
).split(' ')

/** What makes a small system of this one: read-only but for folders of its own, and with few units. */
const init = `
mount --make-rprivate /
# Other tests' would not end before this system does.
umount -a -l -t fuse.pstorefs
mount --bind "$TEST_FOLDER" "$TEST_FOLDER"
mkdir "$TEST_FOLDER/etc" "$TEST_FOLDER/dev" "$TEST_FOLDER/cgroup" "$TEST_FOLDER/project"
mount --bind "$PROJECT" "$TEST_FOLDER/project"
mount -t tmpfs tmpfs "$TEST_FOLDER/etc"
mkdir "$TEST_FOLDER/etc/upper" "$TEST_FOLDER/etc/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$TEST_FOLDER/etc/upper,workdir=$TEST_FOLDER/etc/work" /etc
mount -t tmpfs -o mode=755 tmpfs "$TEST_FOLDER/dev"
for device in null zero full random urandom tty fuse kmsg console; do
  # A container may have fewer.
  [ ! -e /dev/$device ] || cp -a /dev/$device "$TEST_FOLDER/dev/"
done
mkdir "$TEST_FOLDER/dev/shm"
# systemd makes it read-only, for everybody.
if [ "$(stat -f -c %T /sys/fs/cgroup)" = tmpfs ]; then
  mount --rbind /sys/fs/cgroup "$TEST_FOLDER/cgroup"
  mount -t tmpfs tmpfs /sys/fs/cgroup
  for folder in "$TEST_FOLDER"/cgroup/*/; do
    mkdir "/sys/fs/cgroup/$(basename "$folder")"
    mount --bind "$folder" "/sys/fs/cgroup/$(basename "$folder")"
  done
fi
mount --bind "$TEST_FOLDER/dev" /dev
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
for folder in /run /tmp /mnt /var/log /var/lib /usr/local/bin; do
  mount -t tmpfs -o mode=755 tmpfs "$folder"
done
ln -s "$TEST_FOLDER/project/bundle/pstorefs.js" /usr/local/bin/pstorefs
mkdir -p /run/systemd/system
for unit in ${units.join(' ')}; do
  cp "/lib/systemd/system/$unit" /run/systemd/system/
done
for unit in sysinit basic multi-user; do
  printf '[Unit]\nDefaultDependencies=no\n' > /run/systemd/system/$unit.target
done
cp "$TEST_FOLDER/project/units"/* /run/systemd/system/
: > /etc/fstab
sh -e "$TEST_FOLDER/prepare"
mount -o remount,bind,ro /
mount --make-rshared /
export container=test SYSTEMD_UNIT_PATH=/run/systemd/system:/run/systemd/generator
exec ${systemd} --system --unit=test.target --log-target=journal --show-status=no
`

const target = (wants: string): string => `[Unit]
DefaultDependencies=no
AllowIsolate=yes
Wants=systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket ${wants}
After=systemd-journald.service ${wants}
`

export interface Booted {
  /** Run a shell script inside; gives its exit code and all that it printed. */
  sh(script: string): { status: number | null; said: string }
}

/**
 * Boot.
 *
 * @param prepare a shell script, run before systemd is: it may write to /etc, /run and /mnt
 * @param wants the units to start
 * @returns null where this machine does not let systemd run
 */
export const boot = async (t: Test, prepare: string, wants: string): Promise<Booted | null> => {
  // Not below /tmp, which is another one inside.
  const home = fs.mkdtempSync('/var/tmp/pstorefs-test-')
  t.teardown(() => fs.rmSync(home, { recursive: true, force: true }))
  const text = target(wants)
  fs.writeFileSync(
    `${home}/prepare`,
    `cat > /run/systemd/system/test.target <<'END'\n${text}END\n${prepare}`,
  )
  // What it starts dies with it.
  const apart = '--mount --pid --fork --kill-child --uts --ipc --cgroup sh -ec'.split(' ')
  const trial = 'mount -t tmpfs tmpfs /mnt; mount -t proc proc /proc'
  if (run('unshare', [...apart, trial]).status !== 0) return null
  const child = spawn('unshare', [...apart, init], {
    env: {
      ...process.env,
      TEST_FOLDER: home,
      PROJECT: project,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const isGone = (): boolean => child.exitCode !== null || child.signalCode !== null
  t.teardown(async () => {
    child.kill('SIGKILL')
    await until(isGone)
  })
  /** PID 1 inside, seen from here. */
  const pid = (): string =>
    run('pgrep', ['-P', String(child.pid)])
      .stdout.toString()
      .trim()
  const sh = (script: string): { status: number | null; said: string } => {
    const inside = `-t ${pid()} -m -p -u -i -C sh -c`.split(' ')
    const { status, stdout, stderr } = run('nsenter', [...inside, script])
    return { status, said: stdout.toString() + stderr }
  }
  const isUp = (): boolean =>
    pid() !== '' && /^inactive|^active/.test(sh('systemctl is-active test.target').said)
  const done = (): boolean => sh('systemctl is-active test.target').said.startsWith('active')
  await until(() => isUp() || isGone())
  if (isGone()) throw new Error(`systemd's machine: exit ${child.exitCode ?? child.signalCode}`)
  if (!isUp()) return null
  t.ok(await until(done), 'booted')
  return { sh }
}
