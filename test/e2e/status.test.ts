/** `pstorefs status`, and mounts whose folder is made for them; each in a mount namespace of its own. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import type { MountAnswer } from '#src/service/ask-mounts.js'
import { mostStatus, makeStatus, parseStatus } from '#src/service/status.js'
import type { Served } from '#src/service/served.js'
import { inside, makeApart, type Apart } from '../apart.js'

const skip = process.getuid!() !== 0 && 'only root can make mount namespaces'
const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const list = Object.entries(layout)
  .map(([name, size]) => `${name}=${size}`)
  .join()

/** A machine with two regions, of which one may have a dump. */
const make = (t: Test, dump: boolean): Apart => {
  const apart = makeApart(t)
  for (const name of ['a', 'b']) {
    const region = `${apart.home}/${name}.img`
    format(region, { ...layout, mem_size: 16384 })
    const backend = attach(region, layout)
    backend.write({ type: 'console', bytes: Buffer.from('console\n') })
    if (dump && name === 'a')
      backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\nx\n') })
    backend.close()
    fs.chmodSync(region, 0o666)
  }
  const table = (name: string): string =>
    `[backends.${name}]\nsource = "${inside}/${name}.img"\n${list.replaceAll(',', '\n')}\n`
  fs.writeFileSync(`${apart.home}/well.toml`, ['a', 'b'].map(table).join(''))
  fs.writeFileSync(`${apart.home}/some.toml`, ['a', 'b', 'gone'].map(table).join(''))
  for (const name of ['m', 'n']) fs.mkdirSync(`${apart.home}/${name}`)
  fs.chmodSync(`${apart.home}/n`, 0o777)
  return apart
}

t.test('nothing, all well, and what is wrong', { skip }, async t => {
  const well = make(t, false).sh(`
    cd ${inside}
    pstorefs status; echo "exit $?"
    pstorefs mount --config well.toml --backend all -o ro m 2>&1
    pstorefs status; echo "exit $?"
  `)
  t.match(
    well.said,
    /^nothing is mounted\nexit 0\n\/mnt\/m: well\.toml \(read-only, pid \d+\)\n {2}a {2}\/mnt\/a\.img {2}well\n {2}b {2}\/mnt\/b\.img {2}well\nexit 0\n/,
    well.stderr,
  )
  const machine = make(t, true)
  // A dump's zone whose size is more than it has.
  const damaged = fs.readFileSync(`${machine.home}/b.img`)
  damaged.writeUInt32LE(0x7fffffff, 8)
  fs.writeFileSync(`${machine.home}/b.img`, damaged)
  const wrong = machine.sh(`
    cd ${inside}
    pstorefs mount --config some.toml --backend all m 2>&1
    for i in 1 2 3 4 5 6 7 8 9 10; do
      pstorefs status >said && exit 1
      grep -q damaged: said && break
    done
    cat said
    pstorefs status --json || echo "exit $?"
  `)
  t.match(wrong.said, /\n {2}a +\/mnt\/a\.img +1 dump\n/, wrong.stderr)
  t.match(wrong.said, /\n {2}b +\/mnt\/b\.img +\S+: damaged: /)
  t.match(wrong.said, /\n {2}gone +not attached +\/mnt\/gone\.img: no such file/)
  const [, json, code] = /(^\[\n[^]*^\]\n)exit (\d)/m.exec(wrong.said) ?? []
  t.equal(code, '1')
  t.match(JSON.parse(json!), [
    {
      mountpoint: '/mnt/m',
      state: 'answers',
      status: {
        backends: [{ dumps: 1, read_only: false }, { dumps: 0 }],
        failed: [{ name: 'gone' }],
      },
    },
  ])
})

t.test('who does not answer, is dead, or is of another user', { skip }, async t => {
  const machine = make(t, false)
  const { said, stderr } = machine.sh(`
    cd ${inside}
    echo 'user:x:1234:1234::/:/bin/sh' >>/etc/passwd
    pstorefs mount a.img m -o ${list}
    as 1234 pstorefs mount b.img n -o ${list} 2>&1
    pid=$(pstorefs status --json | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p')
    watcher=$(pgrep -f "[s]h ${inside}/m ${inside}/m ")
    kill -STOP $pid
    pstorefs status --json >first || echo "exit $?"
    pstorefs status | grep -c 'does not answer'
    kill -CONT $pid
    pstorefs status --json >second; echo "exit $?"
    as 1234 pstorefs status --json >third; echo "exit $?"
    kill -9 $watcher
    kill -9 $pid
    pstorefs status --json >fourth || echo "exit $?"
  `)
  t.equal(said, 'exit 1\n1\nexit 0\nexit 0\nexit 1\n', stderr)
  const states = (file: string): { [mountpoint: string]: string } =>
    Object.fromEntries(
      (JSON.parse(fs.readFileSync(`${machine.home}/${file}`, 'utf8')) as MountAnswer[]).map(
        ({ mountpoint, state, uid }) => [mountpoint, `${state} ${uid}`],
      ),
    )
  t.same(states('first'), { '/mnt/m': 'silent 0', '/mnt/n': 'denied 1234' })
  t.same(states('second'), { '/mnt/m': 'answers 0', '/mnt/n': 'denied 1234' })
  t.same(states('third'), { '/mnt/m': 'denied 0', '/mnt/n': 'answers 1234' })
  t.same(states('fourth'), { '/mnt/m': 'dead 0', '/mnt/n': 'denied 1234' })
})

t.test(
  'a folder that is missing is made for the mount, and removed after it',
  { skip },
  async t => {
    const { said, stderr } = make(t, false).sh(`
    cd ${inside}
    echo 'user:x:1234:1234::/:/bin/sh' >>/etc/passwd
    mount -t tmpfs none /run
    gone() { for i in $(seq 600); do ls "$(dirname "$1")" | grep -qx "$(basename "$1")" || { echo "$1 is gone"; return; }; sleep 0.1; done; echo "$1 is there"; }
    pstorefs mount a.img -o ${list}
    ls /run/pstore/a.img
    umount /run/pstore/a.img; gone /run/pstore/a.img
    pstorefs mount a.img deep/er -o ${list}; ls deep/er
    kill -9 $(pstorefs status --json | sed -n 's/.*"pid": \\([0-9]*\\).*/\\1/p'); gone deep/er
    ls deep
    pstorefs mount a.img m -o ${list}; umount m; ls -d m
    mkdir -m 700 own; chown 1234 own
    as 1234 env XDG_RUNTIME_DIR=${inside}/own pstorefs mount b.img -o ${list}
    umount own/pstore/b.img; gone own/pstore/b.img
    as 1234 env -u XDG_RUNTIME_DIR pstorefs mount b.img 2>&1 || echo "exit $?"
    touch file
    pstorefs mount a.img file/under -o ${list} 2>&1 || echo "exit $?"
    pstorefs a.img missing -o ${list} 2>&1 || echo "exit $?"
    ls -d missing 2>/dev/null || true
  `)
    t.same(
      said.split('\n'),
      [
        '/run/pstore/a.img',
        'console-ramoops-0',
        'ramoops',
        '/run/pstore/a.img is gone',
        'console-ramoops-0',
        'ramoops',
        'deep/er is gone',
        'm',
        `${inside}/own/pstore/b.img`,
        'own/pstore/b.img is gone',
        'pstorefs: no place for the mount: give MOUNTPOINT (XDG_RUNTIME_DIR is not set)',
        'exit 1',
        'pstorefs: /mnt/file/under: cannot be made: not a directory',
        'exit 1',
        'pstorefs: /mnt/missing: no such folder; mkdir it first',
        'exit 1',
        '',
      ],
      stderr,
    )
  },
)

/** A backend that has so many dumps, or does not answer. */
const backend = (name: string, dumps: number | null): Served => ({
  name,
  readOnly: true,
  names: async () =>
    dumps === null
      ? new Promise<string[]>(() => {})
      : Array.from({ length: dumps }, (_, n) => `dmesg-${name}-${n}`),
  find: () => null,
  open: () => null,
  erase: () => false,
  async *damage() {},
  doubts: async () => [],
  close: () => {},
})

t.test('one that does not answer keeps the others waiting for no longer than a second', async t => {
  const text = await makeStatus(
    [
      [backend('quick', 2), '/quick.img', []],
      [backend('slow', null), '/slow.img', ['x: damaged']],
    ],
    [],
  )
  const { backends, more } = parseStatus(text, '/m')
  t.match(backends, [
    { name: 'quick', dumps: 2 },
    { name: 'slow', dumps: null, problem: null, damage: ['x: damaged'] },
  ])
  t.equal(more, 0)
  t.throws(() => parseStatus('{"pid":-1}', '/m'), /\/m\.pid is no number/)
})

t.test('of a fleet there is as much as an attribute holds, and what is wrong', async t => {
  const some = Array.from({ length: 1000 }, (_, n): [Served, string, string[]] => [
    backend(`guest${n}`, n === 999 ? 1 : 0),
    `/var/lib/guests/${n}/${'x'.repeat(50)}.img`,
    [],
  ])
  const text = await makeStatus(some, [])
  t.ok(Buffer.byteLength(text) <= mostStatus)
  const { backends, more } = parseStatus(text, '/m')
  t.match(backends[0], { name: 'guest999', dumps: 1 })
  t.equal(backends.length + more, 1000)
  const { StoreError } = await import('#src/index.js')
  const failures = Array.from({ length: 1000 }, (_, n) => ({
    name: `guest${n}`,
    error: new StoreError(`/guests/${n}.img: ${'no such file '.repeat(10)}`),
  }))
  const failing = parseStatus(await makeStatus([], failures), '/m')
  t.ok(failing.failed.length > 100)
  t.equal(failing.failed.length + failing.more, 1000)
})
