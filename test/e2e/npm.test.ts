/** What goes to the registry: `npm pack` in a copy, what is in it, and what of others comes with it. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { publint } from 'publint'
import { folder } from '../program.js'

const project = path.resolve(import.meta.dirname, '../..')

/** What a package is made of, and from. */
const kept =
  'package.json package-lock.json tsconfig.json .gitignore src man scripts units doc native-notes test/fixtures/README.md README.md LICENSE ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md'.split(
    ' ',
  )

/** Run a command without tap in its Node processes. */
const run = (cwd: string, command: readonly string[], env: { [name: string]: string } = {}) => {
  const { status, stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'unset NODE_OPTIONS; exec "$@"', 'sh', ...command],
    { cwd, env: { ...process.env, ...env }, maxBuffer: 2 ** 26 },
  )
  return { status, said: stdout.toString(), all: `${stdout}${stderr}` }
}

interface Packed {
  /** A copy of the project, where it was made. */
  readonly copy: string
  readonly tarball: string
  /** What is in it, unpacked. */
  readonly root: string
  /** Its files, as the tarball has them. */
  readonly files: ReadonlySet<string>
  readonly integrity: string
}

interface Lock {
  readonly packages: {
    readonly [folder: string]: { version: string; integrity?: string; dev?: true }
  }
}
const readLock = (file: string): Lock => JSON.parse(fs.readFileSync(file, 'utf8')) as Lock

const pack = (cwd: string, ...options: string[]): { filename: string; integrity: string } => {
  const { status, said, all } = run(cwd, ['npm', 'pack', '--json', ...options])
  if (status !== 0) throw new Error(all)
  // What prepack prints comes first.
  const [made] = JSON.parse(said.slice(said.lastIndexOf('\n[\n') + 1)) as [
    { filename: string; integrity: string },
  ]
  return made
}

/** Built in a copy: other tests run the program meanwhile. */
const makePackage = (): Packed => {
  // Beside the project, which finds its packages there; TMPDIR may be noexec.
  const home = t.testdir({ copy: {}, root: {} })
  const copy = `${home}/copy`
  for (const name of kept)
    fs.cpSync(path.join(project, name), `${copy}/${name}`, {
      recursive: true,
      filter: file => path.basename(file) !== 'node_modules',
    })
  fs.symlinkSync(path.join(project, 'node_modules'), `${copy}/node_modules`)
  const { filename, integrity } = pack(copy)
  const tarball = `${copy}/${filename}`
  const root = `${home}/root/package`
  run(home, ['tar', 'xzf', tarball, '-C', `${home}/root`])
  const files = new Set(
    fs
      .readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter(name => fs.statSync(`${root}/${name}`).isFile()),
  )
  return { copy, tarball, root, files, integrity }
}

const { copy, tarball, root, files, integrity } = makePackage()
const text = (name: string): string => fs.readFileSync(`${root}/${name}`, 'utf8')

interface Manifest {
  readonly version: string
  readonly exports: { readonly '.': { readonly types: string } }
  readonly scripts: { readonly [name: string]: string }
}
const manifest = JSON.parse(text('package.json')) as Manifest
/** Where its types begin. */
const types = path.normalize(manifest.exports['.'].types)

t.test('what is in it', async t => {
  t.notOk(fs.existsSync(`${copy}/npm-shrinkwrap.json`), 'nothing stays in the work tree')
  const needed =
    'bundle/pstorefs.js bundle/worker.js bundle/looker.js bundle/index.js bundle/mounted.js bundle/LICENSES LICENSE README.md CHANGELOG.md SECURITY.md package.json npm-shrinkwrap.json dist/man/pstorefs.8 dist/man/pstorefs.toml.5 doc/guides/library.md'
  for (const name of [...needed.split(' '), types]) t.ok(files.has(name), name)
  for (const name of files) {
    t.notMatch(name, /\.map$|(?<!\.d)\.ts$|^src\/|package-lock|node_modules|\.br$|\.test\./)
    if (/^dist\/(?!man\/)/.test(name)) t.match(name, /\.d\.ts$/)
    if (/\.(?:js|d\.ts)$/.test(name)) t.notMatch(text(name), /^\/\/# sourceMappingURL/m, name)
  }
  // npm's times are its own, and the files come in one order.
  run(copy, ['node', 'scripts/shrinkwrap.mjs'])
  t.equal(pack(copy, '--ignore-scripts').integrity, integrity, 'the same bytes each time')
})

t.test('each link leads to something that is in it', async t => {
  for (const name of [...files].filter(name => name.endsWith('.md')))
    for (const [, to = ''] of text(name).matchAll(/\]\((?!\w+:)([^)#\s]+)[)#]/g))
      t.ok(files.has(path.join(path.dirname(name), to)), `${name}: ${to}`)
})

t.test('each type that its types speak of is in it', async t => {
  const seen = new Set<string>()
  const follow = (name: string): void => {
    if (seen.has(name)) return
    seen.add(name)
    t.ok(files.has(name), name)
    if (!files.has(name)) return
    for (const [, to = ''] of text(name).matchAll(/(?:from\s+|import\()['"](\.[^'"]+)\.js['"]/g))
      follow(path.join(path.dirname(name), `${to}.d.ts`))
  }
  follow(types)
  t.ok(seen.size > 10)
})

t.test('publint has nothing to say of it', async t => {
  const { messages } = await publint({ pkgDir: root, pack: false, level: 'warning', strict: true })
  t.same(messages, [])
})

t.test('what users install is what the lock has', async t => {
  const lock = readLock(path.join(project, 'package-lock.json'))
  const { packages } = readLock(`${root}/npm-shrinkwrap.json`)
  const names = Object.keys(packages).filter(Boolean)
  t.ok(names.includes('node_modules/koffi'))
  for (const name of names) {
    t.match(name, /^node_modules\/(?:koffi|@koromix\/koffi-linux-[^/]+)$/)
    t.same(packages[name], lock.packages[name], name)
    t.match(packages[name]?.integrity, /^sha512-/, name)
  }
  t.notMatch(text('npm-shrinkwrap.json'), 'devDependencies')
})

const noRegistry = /E(?:NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT|NETUNREACH)\b/
const registry = run(project, ['npm', 'config', 'get', 'registry']).said.trim()

/**
 * A registry that has a tarball, and sends whoever asks for anything else to the usual one. That a package has a
 * shrinkwrap npm believes a registry, and no tarball.
 */
const serve = async (t: Test, file: string, sum: string): Promise<string> => {
  const server = http.createServer(({ url = '' }, response) => {
    if (url === '/pstorefs.tgz') return response.end(fs.readFileSync(file))
    if (url !== '/pstorefs')
      return response.writeHead(302, { location: new URL(url.slice(1), registry).href }).end()
    const dist = { tarball: `${base}/pstorefs.tgz`, integrity: sum }
    const { version } = manifest
    const versions = { [version]: { ...manifest, _hasShrinkwrap: true, dist } }
    return response.end(
      JSON.stringify({ name: 'pstorefs', 'dist-tags': { latest: version }, versions }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return base
}

/** Install the package by its name into an empty project, from a registry that has this tarball. */
const install = async (t: Test, file: string, sum: string) => {
  const base = await serve(t, file, sum)
  const home = folder(t)
  fs.writeFileSync(`${home}/package.json`, '{}')
  const options = ['--no-audit', '--no-fund', '--fetch-retries=0', '--ignore-scripts']
  const command = ['npm', 'install', ...options, '--registry', base, '--cache', `${home}/cache`]
  const child = spawn('sh', ['-c', 'unset NODE_OPTIONS; exec "$@"', 'sh', ...command, 'pstorefs'], {
    cwd: home,
  })
  let all = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (more: string) => (all += more))
  const [status] = (await once(child, 'close')) as [number]
  return { home, status, all }
}

t.test('installed, it brings koffi as it is pinned', async t => {
  const { home, status, all } = await install(t, tarball, integrity)
  if (noRegistry.test(all))
    return void t.pass('looked at', { skip: 'the registry cannot be reached' })
  t.equal(status, 0, all)
  const { version } = readLock(`${root}/npm-shrinkwrap.json`).packages['node_modules/koffi']!
  // Below it, as what a shrinkwrap pins is.
  const koffi = JSON.parse(
    fs.readFileSync(`${home}/node_modules/pstorefs/node_modules/koffi/package.json`, 'utf8'),
  ) as { version: string }
  t.equal(koffi.version, version)
  for (const name of fs.readdirSync(`${home}/node_modules/pstorefs/node_modules/@koromix`))
    t.match(name, /^koffi-linux-/, 'of other systems nothing')
  const use = "import('pstorefs').then(({ driverNames }) => console.log(driverNames[0]))"
  t.equal(run(home, ['node', '-e', use]).said, 'ramoops\n')
})

t.test('another koffi of that version is not taken', async t => {
  const other = `${folder(t)}/package`
  fs.cpSync(root, other, { recursive: true })
  const pinned = text('npm-shrinkwrap.json')
  const changed = pinned.replaceAll(/"sha512-../g, '"sha512-AA')
  t.not(changed, pinned)
  fs.writeFileSync(`${other}/npm-shrinkwrap.json`, changed)
  const made = pack(other, '--ignore-scripts')
  const { status, all } = await install(t, `${other}/${made.filename}`, made.integrity)
  if (noRegistry.test(all))
    return void t.pass('looked at', { skip: 'the registry cannot be reached' })
  t.not(status, 0)
  t.match(all, /EINTEGRITY/)
})

t.test('the reference: of all that is exported, with no broken link', async t => {
  const { status, all } = run(copy, ['npm', 'run', 'docs'])
  if (noRegistry.test(all))
    return void t.pass('looked at', { skip: 'the registry cannot be reached' })
  t.equal(status, 0, all)
  t.ok(fs.existsSync(`${copy}/dist/api/functions/attach.html`))
  const index = fs.readFileSync(`${copy}/src/index.ts`, 'utf8')
  fs.writeFileSync(
    `${copy}/src/index.ts`,
    `${index}/** {@link nowhere} */\nexport const one = 1\nexport const two = 2\n`,
  )
  const { docs = '' } = manifest.scripts
  const refused = run(copy, ['sh', '-c', docs.replace(/^.*&& /, '')])
  t.not(refused.status, 0)
  t.match(refused.all, /nowhere/)
  t.match(refused.all, /two \(Variable\).*does not have any documentation/)
})
