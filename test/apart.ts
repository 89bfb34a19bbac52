/**
 * A machine of a test's own, as far as a mount namespace makes one: with the program where every user and
 * mount(8) find it, an /etc that may be written to, /dev/fuse for everybody as distributions have it, and
 * nobody else's mounts. Root makes it; what is done there is seen nowhere else.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { folder, run, type Outcome } from './program.js'

/** The test's folder, in there: on this machine others may not reach it, or it may hold no devices. */
export const inside = '/mnt'

const project = path.resolve(import.meta.dirname, '..')

/** The program and its packages, where every user reaches them: the project's folder may be closed to others. */
let copied: string | undefined
const copyOfProgram = (): string => {
  if (copied !== undefined) return copied
  const to = folder(t)
  const lock = JSON.parse(fs.readFileSync(`${project}/package-lock.json`, 'utf8')) as {
    packages: { [folder: string]: { dev?: boolean } }
  }
  const packages = Object.entries(lock.packages)
    .filter(([name, { dev }]) => /^node_modules\/(@[^/]+\/)?[^/]+$/.test(name) && !dev)
    .map(([name]) => name)
  for (const name of ['package.json', 'bundle', 'dist', ...packages]) {
    const from = path.join(project, name)
    // Some are for other kinds of machines.
    if (fs.existsSync(from)) fs.cpSync(from, path.join(to, name), { recursive: true })
  }
  run('chmod', ['-R', 'a+rX', to])
  return (copied = to)
}

const prelude = `
umount -a -l -t fuse.pstorefs
trap 'cd /; umount -a -l -t fuse.pstorefs' EXIT
mount --bind "$TEST_FOLDER" ${inside}
mount -o remount,bind,exec,dev,suid ${inside}
# A copy takes longer than most of what is done there; not every file system can be the upper one.
changed=upperdir=${inside}/apart/etc,workdir=${inside}/apart/work
mount -t overlay -o lowerdir=/etc,$changed none /etc 2>/dev/null || {
  cp -a /etc/. ${inside}/apart/etc
  mount --bind ${inside}/apart/etc /etc
}
rm -f /etc/pstorefs.toml /etc/fuse.conf
: >/etc/fuse.conf
# A file system on which devices can be opened.
mount -t tmpfs -o mode=755 none ${inside}/apart/dev
mknod -m 666 ${inside}/apart/dev/fuse c 10 229
mount --bind ${inside}/apart/dev/fuse /dev/fuse
mount --bind "$NODE" ${inside}/apart/node
mount --bind "$PROGRAM" ${inside}/apart/project
mount -o remount,bind,exec ${inside}/apart/project
mount --bind ${inside}/apart/bin /usr/local/sbin
as() { id=$1; shift; setpriv --reuid $id --regid $id --clear-groups "$@"; }
`

export interface Apart {
  /** The folder that is {@link inside} in there; all users may enter it. */
  home: string
  /** Run a shell script, which ends where a command of it fails. `as UID COMMAND` runs it as a user. */
  sh(script: string): Outcome & { said: string }
}

export const makeApart = (t: Test): Apart => {
  const home = folder(t)
  const own = `${home}/apart`
  for (const made of ['', '/dev', '/bin', '/project', '/etc', '/work'])
    fs.mkdirSync(`${own}${made}`)
  fs.writeFileSync(`${own}/node`, '')
  fs.writeFileSync(
    `${own}/bin/pstorefs`,
    `#!/bin/sh\nexec ${inside}/apart/node ${inside}/apart/project/bundle/pstorefs.js "$@"\n`,
    { mode: 0o755 },
  )
  fs.chmodSync(home, 0o755)
  const sh = (script: string): Outcome & { said: string } => {
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['--mount', 'sh', '-ec', prelude + script],
      {
        env: {
          ...process.env,
          TEST_FOLDER: home,
          NODE: process.execPath,
          PROGRAM: copyOfProgram(),
        },
        maxBuffer: 2 ** 30,
      },
    )
    return { status, stdout, stderr: stderr.toString(), said: stdout.toString() }
  }
  return { home, sh }
}
