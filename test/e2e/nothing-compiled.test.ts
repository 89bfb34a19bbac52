/** npm install -g of the packed program where there is no compiler, make or Python, and what works then. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import '../environment.js'
import { isMounted, until } from '../program.js'

const project = path.resolve(import.meta.dirname, '../..')
const isRoot = process.getuid!() === 0

/** What may be on the PATH: npm's and the daemon's shell, what they run, and what unmounts. */
const commands = ['sh', 'env', 'stat', 'ls', 'cat', 'rm', isRoot ? 'umount' : 'fusermount3']
const unmount = isRoot ? 'umount' : 'fusermount3 -u'

/** A folder outside the project, whose packages Node would find; TMPDIR may be noexec. */
const home = [os.tmpdir(), '/var/tmp']
  .map(parent => {
    const made = fs.mkdtempSync(path.join(parent, 'pstorefs-test-'))
    t.teardown(() => fs.rmSync(made, { recursive: true, force: true }))
    fs.writeFileSync(`${made}/run`, '#!/bin/sh\n', { mode: 0o755 })
    return made
  })
  .find(made => spawnSync(`${made}/run`).status === 0)!

/** Run a command without tap in its Node processes, and with a cache that only this test fills. */
const run = (command: readonly string[], env: { [name: string]: string } = {}) => {
  const { status, stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'unset NODE_OPTIONS; exec "$@"', 'sh', ...command],
    { cwd: home, env: { ...process.env, npm_config_cache: `${home}/cache`, ...env } },
  )
  return { status, said: stdout.toString(), all: `${stdout}${stderr}` }
}

const noRegistry = /E(?:NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|NETUNREACH)\b/

const packed = run([
  'npm',
  'pack',
  '--ignore-scripts',
  '--silent',
  '--pack-destination',
  home,
  project,
])
const tarball = path.join(home, packed.said.trim())
const quiet = ['--no-audit', '--no-fund', '--fetch-retries=0']
const install = (prefix: string, ...options: string[]): string[] => [
  'npm',
  'install',
  '--global',
  '--prefix',
  prefix,
  ...quiet,
  ...options,
  tarball,
]
/** What the registry has of it goes to the cache; nothing of it is run. */
const fetched = run(install(`${home}/first`, '--ignore-scripts'))
const skip = noRegistry.test(fetched.all) && 'the registry cannot be reached'

/** One more than the system's; OTHER_NODE names it, and where it is empty there is none. */
const other = process.env.OTHER_NODE ?? (process.version.startsWith('v24.') ? '22' : '24')

/** A folder with a version of Node and the few commands: the whole PATH. */
const makePath = (name: string, node: string): string => {
  const bin = path.join(home, name)
  fs.mkdirSync(bin)
  fs.symlinkSync(node, `${bin}/node`)
  for (const command of ['npm', ...commands])
    fs.symlinkSync(run(['sh', '-c', `command -v ${command}`]).said.trim(), `${bin}/${command}`)
  return bin
}

const sizes = '--record-size 4K --console-size 4K'
const use = `
  set -e
  cd "$1"
  pstorefs format region.img --mem-size 64K ${sizes}
  echo kept | pstorefs write console region.img ${sizes}
  echo dumped | pstorefs write dmesg region.img ${sizes}
  pstorefs ls region.img ${sizes} | while read -r name rest; do echo "$name"; done
  pstorefs cat region.img console-ramoops-0 ${sizes}
  pstorefs mount region.img mnt ${sizes}
  ls mnt
  cat mnt/dmesg-ramoops-0
  rm mnt/dmesg-ramoops-0
  ls mnt
  ${unmount} mnt`
const layout = 'mem_size=65536 record_size=4096 console_size=4096 ftrace_size=4096 pmsg_size=4096'
const used = `${layout.replace(/(\S+)=/g, (_, name: string) => `--${name.replace('_', '-')} `)}
ramoops.mem_address=ADDRESS ${layout.replace(/\S+=/g, 'ramoops.$&')}
dmesg-ramoops-0
console-ramoops-0
kept
console-ramoops-0
dmesg-ramoops-0
ramoops
Panic#1 Part1
dumped
console-ramoops-0
ramoops
`
const useSeveral = `
  set -e
  cd "$1"
  for name in one two; do
    pstorefs format $name.img --mem-size 64K ${sizes} >/dev/null # stdout is the config file
    echo $name | pstorefs write console $name.img ${sizes}
    echo "[backends.$name]
source = '$1/$name.img'
record_size = '4K'
console_size = '4K'"
  done >several.toml
  pstorefs mount --config several.toml --backend all mnt
  cat mnt/one/console-one-0 mnt/two/console-two-0
  ${unmount} mnt`

/** Install with a version of Node, and use what that gives. */
const installAndUse = async (t: Test, name: string, node: string): Promise<void> => {
  const bin = makePath(`bin-${name}`, node)
  for (const command of ['cc', 'gcc', 'g++', 'c++', 'make', 'python3', 'cmake', 'node-gyp'])
    t.notOk(fs.existsSync(`${bin}/${command}`), command)
  const prefix = path.join(home, name)
  const env = { PATH: bin }
  const command = install(prefix, '--offline', '--foreground-scripts')
  // What the cache lacks would have come from elsewhere than the registry.
  const alone = isRoot
    ? ['/usr/bin/env', `PATH=${process.env.PATH}`, 'unshare', '--net', 'env', `PATH=${bin}`]
    : []
  const installed = run([...alone, ...command], env)
  t.equal(installed.status, 0, installed.all)
  const scripts = [...installed.all.matchAll(/^> (\S+)@\S+ \S+$/gm)].map(([, name]) => name)
  // koffi's looks whether its binary, a package of the registry, is there.
  for (const name of scripts) t.equal(name, 'koffi')

  const listed = run(['npm', 'ls', '--global', '--prefix', prefix, '--all', '--parseable'], env)
    .said.trim()
    .split('\n')
    .slice(1)
  t.ok(listed.length > 1 && listed.length < 5, `${listed.length} packages`)
  for (const optional of ['fuse-native', 'mmap-io', 'node-gyp', 'nan'])
    t.notOk(
      listed.some(folder => path.basename(folder) === optional),
      optional,
    )
  const binaries = fs
    .readdirSync(prefix, { recursive: true, encoding: 'utf8' })
    .filter(name => /\.(?:node|o|so|a)$/.test(name))
  t.ok(binaries.length > 0)
  for (const name of binaries) t.match(name, /node_modules\/@koromix\/koffi-[^/]+\//)

  const { version } = JSON.parse(fs.readFileSync(path.join(project, 'package.json'), 'utf8')) as {
    version: string
  }
  const there = { PATH: `${prefix}/bin:${bin}` }
  t.match(run(['pstorefs', '--version'], there), { status: 0, said: version })
  const work = path.join(home, `work-${name}`)
  const mountpoint = `${work}/mnt`
  fs.mkdirSync(mountpoint, { recursive: true })
  t.teardown(() => {
    if (isMounted(mountpoint)) run(['fusermount3', '-u', '-z', mountpoint])
  })
  for (const [script, expected] of [
    [use, used],
    [useSeveral, 'one\ntwo\n'],
  ] as const) {
    const { status, said, all } = run(['sh', '-c', script, 'sh', work], there)
    t.equal(status, 0, all)
    t.equal(said, expected, all)
    t.ok(await until(() => !isMounted(mountpoint)), 'unmounted')
  }
}

t.test('packed, and fetched from the registry', { skip }, async t => {
  t.equal(packed.status, 0, packed.all)
  t.equal(fetched.status, 0, fetched.all)
})

t.test(`on Node ${process.version}`, { skip }, async t => {
  await installAndUse(t, 'this', process.execPath)
})

const compiled = path.join(project, 'node_modules/fuse-native/build')
const noCompiler = !fs.existsSync(compiled) && 'scripts/setup --optional was not run'

t.test('the optional packages, added as the notes say', { skip: skip || noCompiler }, async t => {
  const notes = fs.readFileSync(path.join(project, 'native-notes/README.md'), 'utf8')
  const [, lines = ''] = /^## The optional packages\n[^]*?^```sh\n([^]*?)^```/m.exec(notes) ?? []
  const isNew = Number(process.versions.node.split('.')[0]) >= 24
  const added = run(['sh', '-ec', lines], {
    npm_config_prefix: `${home}/this`,
    ...(isNew ? { CXXFLAGS: '-std=gnu++20' } : {}),
  })
  t.equal(added.status, 0, added.all)
  const look = `
    const from = require('node:module').createRequire(process.argv[1])
    console.log(typeof from('fuse-native'), typeof from('mmap-io').map)`
  const main = `${home}/this/lib/node_modules/pstorefs/bundle/index.js`
  t.equal(
    run([process.execPath, '-e', look, main]).said,
    'function function\n',
    'the program finds them',
  )
})

t.test(`on Node ${other}`, { skip: skip || (other === '' && 'this is the other') }, async t => {
  const { status, all } = run([
    'npm',
    'install',
    '--prefix',
    `${home}/node`,
    ...quiet,
    `node@${other}`,
  ])
  t.equal(status, 0, all)
  await installAndUse(t, 'other', `${home}/node/node_modules/node/bin/node`)
})
