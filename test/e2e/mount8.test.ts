/** mount(8) and fstab: forms, options, owners, users, exit codes. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { inside, makeApart, type Apart } from '../apart.js'

const skip = process.getuid!() !== 0 && 'only root can mount(8)'
const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const list = Object.entries(layout)
  .map(([name, size]) => `${name}=${size}`)
  .join()

const region = `${inside}/region.img`
const mountpoint = `${inside}/mnt`

/** A machine with a region and a folder to mount on. */
const make = (t: Test): Apart => {
  const apart = makeApart(t)
  const made = `${apart.home}/region.img`
  format(made, { ...layout, mem_size: 16384 })
  const backend = attach(made, layout)
  backend.write({ type: 'console', bytes: Buffer.from('console\n') })
  backend.close()
  fs.mkdirSync(`${apart.home}/mnt`)
  return apart
}

/** What mount(8) knows for all file systems, and what cancels it. */
const everyOption = [
  'defaults,rw,suid,dev,exec,auto,nouser,async,atime,diratime,relatime,lazytime,mand,iversion,silent,nofail',
  'ro,nosuid,nodev,noexec,noauto,user,sync,dirsync,noatime,nodiratime,norelatime,nolazytime,nomand,noiversion,loud',
  'users,owner,group,strictatime,nostrictatime,nosymfollow,_netdev,comment=x,x-systemd.requires=x,X-mount.mkdir',
]

t.test('generic options, owners and modes', { skip }, async t => {
  const { sh } = make(t)
  const generic = 'nodev,noexec,nosuid,noatime,x-systemd.automount,nofail,_netdev,comment=x'
  const { status, said, stderr } = sh(
    `
    mount -t fuse.pstorefs ${region} ${mountpoint} -o ${generic},${list},uid=1234,gid=0x,ro 2>&1 && exit 9
    mount -t fuse.pstorefs ${region} ${mountpoint} -o ${generic},${list},uid=1234,gid=5678,umask=037
    findmnt -n -o FSTYPE,OPTIONS ${mountpoint}
    stat -c '%a %u %g' ${mountpoint} ${mountpoint}/console-ramoops-0 ${mountpoint}/ramoops
    umount ${mountpoint}
    for all in ${everyOption.join(' ')}; do
      mount -t fuse.pstorefs ${region} ${mountpoint} -o ${list},$all || echo "exit $?"
      umount ${mountpoint}
    done
    mount -t fuse.pstorefs ${region} ${mountpoint} -o ${list},allow_other,gid=5678
    as 1000 ls ${mountpoint} 2>&1 || true
    as 5678 ls ${mountpoint}
    chmod 755 ${mountpoint}; chmod 400 ${mountpoint}/console-ramoops-0
    as 1000 ls ${mountpoint}
    as 1000 cat ${mountpoint}/console-ramoops-0 2>&1 || true
    as 1000 rm -f ${mountpoint}/console-ramoops-0 2>&1 || true
    as 1000 chown 1000 ${mountpoint}/console-ramoops-0 2>&1 || true
    umount ${mountpoint}`,
  )
  t.equal(status, 0, stderr)
  t.match(said, /gid '0x': must be a number/)
  t.match(said, /fuse\.pstorefs +rw,nosuid,nodev,noexec,noatime,user_id=0,group_id=0\n/)
  t.match(said, /\n740 1234 5678\n440 1234 5678\n740 1234 5678\nls: /, 'every option is taken')
  t.match(said, /cannot open directory '[^']+': Permission denied\nconsole-ramoops-0\nramoops\n/)
  t.match(
    said,
    /cat: .*: Permission denied\nrm: .*: Permission denied\nchown: .*: Operation not permitted\n$/,
  )
})

t.test("mount(8)'s exit codes", { skip }, async t => {
  const { sh } = make(t)
  const { status, said, stderr } = sh(
    `
    code() { "$@" 2>&1 || echo "exit $?"; }
    code mount -t fuse.pstorefs ${region}.gone ${mountpoint} -o ${list}
    code mount -t fuse 'pstorefs#${region}' ${mountpoint} -o ${list},bogus
    code mount -t fuse.pstorefs ${region} ${mountpoint}/gone -o ${list}
    code pstorefs ${region}.gone ${mountpoint} -o ${list}`,
  )
  t.equal(status, 0, stderr)
  t.match(
    said,
    /^pstorefs: .*gone: no such file.*\nexit 32\npstorefs: option bogus: not known.*\nexit 32\n.*mnt\/gone.*\nexit 32\npstorefs: .*\nexit 1\n$/,
  )
})

t.test('fstab: user, and mount -a', { skip }, async t => {
  const { home, sh } = make(t)
  fs.mkdirSync(`${home}/boot`)
  const user = 1000
  const { status, said, stderr } = sh(
    `
    chown ${user}:${user} ${region} ${mountpoint}
    cat >/etc/fstab <<'END'
${region} ${mountpoint} fuse.pstorefs noauto,user,${list} 0 0
${region} ${inside}/boot fuse.pstorefs ro,nofail,x-systemd.after=x,${list} 0 0
END
    mount -a -t fuse.pstorefs
    findmnt -n -o SOURCE,FSTYPE,OPTIONS ${inside}/boot
    cat ${inside}/boot/console-ramoops-0
    umount ${inside}/boot
    findmnt ${mountpoint} || echo 'not at boot'
    as ${user} mount ${mountpoint}
    findmnt -n -o OPTIONS ${mountpoint}
    as ${user} cat ${mountpoint}/console-ramoops-0
    as 2000 ls ${mountpoint} 2>&1 || true
    as 2000 umount ${mountpoint} 2>&1 || true
    as ${user} umount ${mountpoint}
    findmnt ${mountpoint} || echo 'unmounted'`,
  )
  t.equal(status, 0, stderr)
  t.match(said, /region\.img +fuse\.pstorefs +ro,[^\n]*\nconsole\nnot at boot\n/)
  t.match(said, /\nrw,nosuid,nodev,noexec,[^\n]*user_id=1000,group_id=1000\nconsole\n/)
  t.match(
    said,
    /ls: cannot [^\n]*: Permission denied\numount: .* must be superuser.*\nunmounted\n$/,
  )
})

t.test('a second user, made for it', { skip }, async t => {
  const { sh } = make(t)
  const args = `${region} ${mountpoint} -o ${list}`
  const { status, said, stderr } = sh(
    `
    run() { name=$1; shift; setpriv --reuid $name --regid $name --init-groups "$@" 2>&1 || echo "exit $?"; }
    a=pstorefs-test-a b=pstorefs-test-b
    for name in $a $b; do useradd --no-create-home --shell /bin/sh $name; done
    chown $a:$a ${region} ${mountpoint}; chmod 600 ${region}
    run $a pstorefs ${args}
    run $a cat ${mountpoint}/console-ramoops-0
    run $b cat ${mountpoint}/console-ramoops-0
    cat ${mountpoint}/console-ramoops-0 2>&1 || echo 'nor root'
    run $a fusermount3 -u ${mountpoint}
    run $a pstorefs ${args}
    kill -9 $(pgrep -u $a -f 'pstorefs.js ${region}')
    for try in $(seq 1200); do findmnt ${mountpoint} >/dev/null || break; sleep 0.1; done
    findmnt ${mountpoint} || echo 'no dead mount'
    run $a pstorefs ${args},allow_other
    run $a pstorefs ${region} /usr/share -o ${list},nonempty
    echo user_allow_other >/etc/fuse.conf
    run $a pstorefs ${args},allow_other
    run $b ls ${mountpoint}
    run $a chmod 755 ${mountpoint}
    run $b cat ${mountpoint}/console-ramoops-0
    run $b rm -f ${mountpoint}/console-ramoops-0
    run $a rm -f ${mountpoint}/console-ramoops-0
    run $a fusermount3 -u ${mountpoint}
    chown 0:0 ${region}
    run $a pstorefs ${args}
    run $b pstorefs ${args}`,
  )
  t.equal(status, 0, stderr)
  t.match(
    said,
    /^console\ncat: .*: Permission denied\nexit 1\ncat: .*: Permission denied\nnor root\n/,
    'theirs alone',
  )
  t.match(said, /\nno dead mount\n/, 'killed, it leaves none')
  t.match(said, /cannot be mounted: option allow_other only allowed if .*fuse\.conf\nexit 1\n/)
  t.match(said, /cannot be mounted: user has no write access to mountpoint .*\nexit 1\n/)
  t.match(said, /\nconsole\nrm: .*Permission denied\nexit 1\n/, 'what is open to all is only read')
  t.match(said, /region\.img: permission denied\nexit 1\n/, "root's stays root's")
})
