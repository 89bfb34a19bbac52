/**
 * A mount of the kernel's FUSE: how it is made, how it ends with whoever holds its device, and what is said where it
 * cannot be made. Nobody serves it here, so nobody may look into it.
 */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { inside, makeApart, type Apart } from '../apart.js'

if (process.getuid!() !== 0) {
  t.plan(0, 'only root can make mount namespaces')
  process.exit()
}

/** An ordinary user: whom most machines call nobody. */
const user = 65534

/** Mounts, prints the descriptor or the error, and stays until it is killed or gets a line. */
const holder = `
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
const project = '${inside}/apart/project/dist/fuse'
const { openDevice, unmountDevice } = await import(project + '/device.js')
const { realMountpoint } = await import(project + '/mounts.js')
const { unmountWhenKilled } = await import(project + '/watcher.js')
const [folder, source, cover, ...options] = process.argv.slice(2)
let mountpoint, stop
try {
  mountpoint = realMountpoint(folder)
  stop = unmountWhenKilled(mountpoint)
  const fd = await openDevice(mountpoint, { source, options, cover: cover === 'cover' })
  const flags = /flags:\\s*(\\d+)/.exec(fs.readFileSync('/proc/self/fdinfo/' + fd, 'utf8'))[1]
  const links = 'for f in /proc/self/fd/*; do readlink $f || :; done'
  const inherited = execFileSync('sh', ['-c', links]).toString()
  process.stdout.write('flags ' + flags + '\\ninherited ' + inherited.includes('fuse') + '\\nheld\\n')
} catch (error) {
  console.log(error.name + ': ' + error.message)
  process.exit(1)
}
// Without a standard input it stays as well.
setInterval(() => {}, 60_000)
process.stdin.on('data', async () => {
  await unmountDevice(mountpoint)
  stop()
  process.exit()
})
`

interface Place extends Pick<Apart, 'sh'> {
  /** The mountpoint, in there. */
  at: string
}

const makePlace = (t: Test): Place => {
  const { home, sh } = makeApart(t)
  fs.writeFileSync(`${home}/holder.mjs`, holder)
  const names = ['here', 'with space, comma\\ and back', '-o']
  for (const name of names) {
    fs.mkdirSync(`${home}/${name}`)
    fs.chownSync(`${home}/${name}`, user, user)
  }
  fs.symlinkSync('here', `${home}/link`)
  const prepared = `
    # As USER SOURCE COVER [OPTION]...: pid is the holder's; the rest of its life is read from said.
    hold() {
      who=$1 folder=$2; shift 2
      rm -f ${inside}/said ${inside}/tell; mkfifo -m 666 ${inside}/tell; : >${inside}/said
      setpriv --reuid $who --regid $who --clear-groups $less \\
        ${inside}/apart/node ${inside}/holder.mjs "$folder" "$@" <>${inside}/tell >>${inside}/said 2>&1 &
      pid=$! all="$all $!"
      until grep -q '^held\\|Error' ${inside}/said || ! kill -0 $pid; do sleep 0.05; done
      cat ${inside}/said
    }
    mounted() { grep "$1" /proc/mounts || echo "nothing at $1"; }
    gone() { for i in $(seq 200); do grep -q "$1" /proc/mounts || break; sleep 0.05; done; mounted "$1"; }
    at=${inside}/here less= all=
    trap 'kill -9 $all 2>/dev/null || :; cd /; umount -a -l -t fuse.pstorefs' EXIT
  `
  return { at: `${inside}/here`, sh: script => sh(prepared + script) }
}

const who = [
  ['root', 0],
  ['an ordinary user', user],
] as const

t.test('the device is nobody else’s, and reads of it do not wait', async t => {
  const { sh } = makePlace(t)
  for (const [name, uid] of who) {
    const { said, stderr } = sh(`hold ${uid} $at source -; kill -9 $pid`)
    t.match(said, /^flags \d+\ninherited false\nheld\n$/, `${name}: ${stderr}`)
    const flags = parseInt(/flags (\d+)/.exec(said)?.[1] ?? '', 8)
    t.ok(flags & fs.constants.O_NONBLOCK, `${name}: non-blocking`)
    t.ok(flags & 0o2000000, `${name}: closed on exec`)
  }
})

t.test('the kernel lists it with its source and its flags', async t => {
  const { sh } = makePlace(t)
  for (const [name, uid] of who) {
    const ids = `user_id=${uid},group_id=${uid}`
    const lines = (...words: string[]): string =>
      sh(
        `hold ${uid} $at ${words.join(' ')} >/dev/null; mounted " $at "; kill -9 $pid; gone " $at "`,
      ).said
    const nothing = `nothing at  ${inside}/here \n`
    t.equal(
      lines('s.img', '-'),
      `s.img ${inside}/here fuse.pstorefs rw,nosuid,nodev,relatime,${ids} 0 0\n${nothing}`,
      name,
    )
    t.equal(
      lines('s.img', '-', 'noexec', 'noatime', 'sync', 'dirsync', 'nonempty', 'ro'),
      `s.img ${inside}/here fuse.pstorefs ro,sync,dirsync,nosuid,nodev,noexec,noatime,${ids} 0 0\n${nothing}`,
      `${name}: flags`,
    )
    // A source's name gives no option, whatever it is.
    t.equal(
      lines(`"a,allow_other,b\\\\,suid c\nd\\\\"`, '-', 'ro'),
      `a,allow_other,b\\134,suid\\040c\\012d\\134 ${inside}/here fuse.pstorefs ro,nosuid,nodev,relatime,${ids} 0 0\n${nothing}`,
      `${name}: an odd source`,
    )
  }
  const { said } = sh(
    'hold 0 $at s.img - dev suid exec allow_other default_permissions >/dev/null; mounted " $at "',
  )
  t.match(said, / rw,relatime,user_id=0,group_id=0,default_permissions,allow_other 0 0\n$/)
})

t.test('whoever holds it is killed, and the mount is gone', async t => {
  const { sh } = makePlace(t)
  for (const [name, uid] of who) {
    const kill = (folder: string, listed: string, before = ''): string =>
      sh(`cd ${inside}; hold ${uid} "${folder}" s.img - >/dev/null
        mounted '${listed}' >/dev/null || exit
        ${before}
        kill -9 $pid; gone '${listed}'`).said
    t.match(kill(`${inside}/here`, ' /mnt/here '), /^nothing/, name)
    t.match(kill('link', ' /mnt/here '), /^nothing/, `${name}: by a link, and from its folder`)
    t.match(kill('-o', ' /mnt/-o '), /^nothing/, `${name}: -o`)
    const odd = 'with\\\\040space,\\\\040comma\\\\134\\\\040and\\\\040back'
    t.match(kill('with space, comma\\\\ and back', odd), /^nothing/, `${name}: an odd name`)
    // As a service manager does, which signals all processes of a service.
    const watcher = 'kill -TERM $(pgrep -P $pid); sleep 0.2'
    t.match(kill('here', ' /mnt/here ', watcher), /^nothing/, `${name}: the watcher was signalled`)
  }
})

t.test('what is not its mount is left alone', async t => {
  const { sh } = makePlace(t)
  for (const [name, uid] of who) {
    const { said } = sh(`hold ${uid} $at s.img - >/dev/null
      mount -t tmpfs other $at
      kill -9 $pid; sleep 2; mounted " $at "`)
    t.match(said, /^s\.img [^\n]*\nother \/mnt\/here tmpfs [^\n]*\n$/, `${name}: a mount over it`)
    const later = sh(`hold ${uid} $at first - >/dev/null
      umount -l $at; first=$pid
      hold ${uid} $at second - >/dev/null
      kill -9 $first; sleep 0.5; mounted " $at "`)
    t.match(later.said, /^second [^\n]*\n$/, `${name}: the next one's mount`)
  }
})

t.test('it is unmounted, and no watcher stays', async t => {
  const { sh } = makePlace(t)
  for (const [name, uid] of who) {
    const { said } = sh(`hold ${uid} $at s.img - >/dev/null
      watcher=$(pgrep -P $pid)
      echo >${inside}/tell; wait $pid && echo ended
      gone " $at "
      for i in $(seq 200); do readlink /proc/$watcher/exe >/dev/null || break; sleep 0.05; done
      readlink /proc/$watcher/exe || echo none`)
    t.equal(said, `ended\nnothing at  ${inside}/here \nnone\n`, name)
  }
})

t.test('in a user namespace', async t => {
  const { sh } = makePlace(t)
  const { said, stderr } = sh(`
    : >${inside}/said; chmod 666 ${inside}/said
    as ${user} unshare -Urm sh -ec '
      ${inside}/apart/node ${inside}/holder.mjs ${inside}/here s.img - >${inside}/said 2>&1 & pid=$!
      for i in $(seq 200); do grep -q "^held" ${inside}/said && break; sleep 0.05; done
      grep " ${inside}/here " /proc/mounts || cat ${inside}/said
      kill -9 $pid
      for i in $(seq 200); do grep -q " ${inside}/here " /proc/mounts || break; sleep 0.05; done
      grep -c " ${inside}/here " /proc/mounts || :'`)
  t.match(
    said,
    /^s\.img [^\n]* fuse\.pstorefs rw,nosuid,nodev,[^\n]*user_id=0,[^\n]*\n0\n$/,
    stderr,
  )
})

t.test('a refusal is one line', async t => {
  const { sh } = makePlace(t)
  const refusal = (prepare: string, uid: number, ...words: string[]): string => {
    const { said } = sh(`${prepare}\n hold ${uid} ${words.join(' ')}`)
    return said.replaceAll(`StoreError: ${inside}/here: cannot be mounted: `, '')
  }
  for (const [name, uid] of who) {
    t.equal(
      refusal('', uid, '$at', 's.img', '-', 'allow_root'),
      'StoreError: allow_root: only with transport=libfuse; use allow_other with default_permissions\n',
      name,
    )
    t.equal(
      refusal('', uid, '$at', 's.img', '-', 'bogus'),
      "StoreError: option bogus: not known to the kernel's FUSE\n",
    )
    t.equal(
      refusal('mount -t tmpfs other $at', uid, '$at', 's.img', '-'),
      'something is mounted there already (umount it first)\n',
    )
    t.match(
      refusal('', uid, '$at/gone', 's.img', '-'),
      /^[^\n]*: cannot be mounted: no such folder\n$/,
    )
  }
  t.match(
    refusal('mount -t tmpfs other $at', 0, '$at', 's.img', 'cover'),
    /held\n$/,
    'a mount is covered on request',
  )
  const newDev = 'mount -t tmpfs -o mode=755 none /dev; mknod -m 666 /dev/null c 1 3'
  const noDriver = `${newDev}; mknod -m 666 /dev/fuse c 10 250`
  for (const [, uid] of who) {
    const why = "fuse device not found, try 'modprobe fuse' first\n"
    t.equal(refusal(noDriver, uid, '$at', 's.img', '-'), why)
  }
  t.equal(
    refusal("less='--bounding-set=-sys_admin --inh-caps=-sys_admin'", 0, '$at s.img -'),
    'mount failed: Operation not permitted: a container needs --cap-add SYS_ADMIN for it\n',
  )
  t.match(
    refusal('', user, '$at', 's.img', '-', 'allow_other'),
    /^option allow_other only allowed if 'user_allow_other' is set in \/etc\/fuse\.conf\n$/,
  )
  t.match(
    refusal('echo user_allow_other >/etc/fuse.conf', user, '$at', 's.img', '-', 'allow_other'),
    /held\n$/,
  )
  t.match(
    refusal('mkdir $at/own', user, '$at/own', 's.img', '-'),
    /: cannot be mounted: user has no write access to mountpoint [^\n]*\n$/,
  )
  const plain = `p=${inside}/fusermount; cp -L $(command -v fusermount3) $p; chmod 755 $p
    for f in /bin /usr/bin; do [ ! -e $f/fusermount3 ] || mount --bind $p $f/fusermount3; done`
  t.equal(
    refusal(plain, user, '$at', 's.img', '-'),
    'mount failed: Operation not permitted: is fusermount set-uid root?\n',
  )
})
