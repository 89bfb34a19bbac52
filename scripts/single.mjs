/**
 * Make one executable of Node and the program: node scripts/single.mjs FILE. It is the Node that makes it, with the
 * program, its threads and koffi's binary inside, which is loaded from a file without a name.
 */
import { build } from 'esbuild'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { inject } from 'postject'
import { common, root } from './bundling.mjs'

const [, , made] = process.argv
if (!made) {
  process.stderr.write('pstorefs: say which file becomes the program\n')
  process.exit(2)
}

/** What Node looks for in itself, to know that something is in it. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** What has no path in an executable, and how it is found there. */
const inside = {
  'src/native/libc.ts': [['createRequire(import.meta.url)', 'loadNative']],
  'src/service/pool/thread.ts': [
    ["new URL('./worker.js', import.meta.url)", "threadSource('worker')"],
    ['execArgv: []', 'execArgv: [], eval: true'],
  ],
  'src/lookout/thread.ts': [
    ["new URL('./looker.js', import.meta.url)", "threadSource('looker')"],
    ['execArgv: []', 'execArgv: [], eval: true'],
  ],
}
/** The programs of threads. */
const threads = { worker: 'src/service/pool/worker.ts', looker: 'src/lookout/looker.ts' }

const helpers = `
import { getAsset, getRawAsset } from 'node:sea'
import fs from 'node:fs'
import os from 'node:os'
const nameless = 0o20000000
/** koffi, from a file without a name: its descriptor stays open, as the linker knows a library by its path. */
export const loadNative = () => {
  let why
  for (const folder of ['/dev/shm', os.tmpdir(), '/var/tmp', '/run'])
    try {
      const fd = fs.openSync(folder, fs.constants.O_DIRECTORY | nameless | fs.constants.O_RDWR, 0o700)
      fs.writeSync(fd, new Uint8Array(getRawAsset('koffi.node')))
      const module = { exports: {} }
      process.dlopen(module, '/proc/self/fd/' + fd)
      return module.exports
    } catch (error) {
      why = error
    }
  throw why
}
export const threadSource = name => getAsset(name + '.cjs', 'utf8')`

const fromInside = {
  name: 'inside',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^inside$/ }, ({ path }) => ({ path, namespace: 'inside' }))
    onLoad({ filter: /./, namespace: 'inside' }, () => ({ contents: helpers }))
    onLoad(
      { filter: /\/src\/(?:native\/libc|service\/pool\/thread|lookout\/thread)\.ts$/ },
      ({ path: file }) => {
        let contents = fs.readFileSync(file, 'utf8')
        for (const [words, instead] of inside[path.relative(root, file)]) {
          if (!contents.includes(words)) throw new Error(`${file}: has no ${words}`)
          contents = contents.replace(words, instead)
        }
        return {
          contents: `import { loadNative, threadSource } from 'inside'\n${contents}`,
          loader: 'ts',
        }
      },
    )
  },
}

const work = fs.mkdtempSync(path.join(os.tmpdir(), 'pstorefs-single-'))
try {
  await build({
    ...common,
    entryPoints: { main: 'src/cli/main.ts', ...threads },
    outdir: work,
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    define: { 'import.meta.url': 'here' },
    banner: { js: "const here = require('node:url').pathToFileURL(process.execPath).href" },
    plugins: [...common.plugins, fromInside],
  })
  const load = createRequire(path.join(root, 'package.json'))
  load('koffi')
  const native = Object.keys(load.cache).find(file => file.endsWith('koffi.node'))
  fs.copyFileSync(native, path.join(work, 'koffi.node'))
  // Node puts the paths that it is given into what it makes, which is to be the same everywhere.
  fs.writeFileSync(
    path.join(work, 'config.json'),
    JSON.stringify({
      main: 'main.cjs',
      output: 'blob',
      disableExperimentalSEAWarning: true,
      assets: Object.fromEntries(
        ['koffi.node', ...Object.keys(threads).map(name => `${name}.cjs`)].map(name => [
          name,
          name,
        ]),
      ),
    }),
  )
  execFileSync(process.execPath, ['--experimental-sea-config', 'config.json'], {
    cwd: work,
    stdio: 'pipe',
  })
  const blob = path.join(work, 'blob')
  const executable = path.join(work, 'pstorefs')
  fs.copyFileSync(process.execPath, executable)
  execFileSync('strip', [executable])
  await inject(executable, 'NODE_SEA_BLOB', fs.readFileSync(blob), { sentinelFuse: fuse })
  fs.chmodSync(executable, 0o755)
  fs.copyFileSync(executable, made)
} finally {
  fs.rmSync(work, { recursive: true, force: true })
}
