/**
 * Make what is shipped, of src/ and the packages that it imports: node scripts/bundle.mjs. It goes to bundle/: the
 * program, the threads of the pool and of the lookout, the library, what only some commands need, and LICENSES of the packages.
 */
import { build } from 'esbuild'
import fs from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const folder = path.join(root, 'bundle')

/** Found at run time, if at all: what is compiled cannot be in a bundle. */
const external = ['koffi', 'fuse-native', 'mmap-io']

/** Node's modules that take milliseconds to load, and that few runs call. */
const late = ['child_process', 'crypto', 'zlib']

/** Load those when something of them is first called. */
const loadLate = {
  name: 'late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(?:node:)?(?:${late.join('|')})$`) }, ({ path }) => ({
      path: path.replace(/^node:/, ''),
      namespace: 'late',
      sideEffects: false,
    }))
    onLoad({ filter: /./, namespace: 'late' }, async ({ path }) => {
      const names = Object.keys(await import(`node:${path}`)).filter(name => /^\w+$/.test(name))
      const contents = [
        `const stand = find => new Proxy(function () {}, {
          apply: (_, self, args) => Reflect.apply(find(), self, args),
          construct: (_, args) => Reflect.construct(find(), args),
          get: (_, name) => Reflect.get(find(), name),
        })
        const load = () => process.getBuiltinModule('node:${path}')`,
        ...names
          .filter(name => name !== 'default')
          .map(name => `export const ${name} = /* @__PURE__ */ stand(() => load().${name})`),
        'export default /* @__PURE__ */ stand(load)',
      ]
      return { contents: contents.join('\n') }
    })
  },
}

/**
 * Modules in place of what yargs loads and this program has little use for. Help has no wide characters, and to make the
 * tables that know them takes as long as all the rest of yargs; what it asserts is thrown, and its author reads that.
 */
const replaced = {
  'string-width': 'export default text => [...text].length',
  assert: `
    export const strictEqual = (value, expected, message) => {
      if (value !== expected) throw new Error(message)
    }
    export const notStrictEqual = (value, unexpected, message) => {
      if (value === unexpected) throw new Error(message)
    }`,
}
const replace = {
  name: 'replace',
  setup({ onResolve, onLoad }) {
    const filter = new RegExp(`^(?:${Object.keys(replaced).join('|')})$`)
    onResolve({ filter }, ({ path }) => ({ path, namespace: 'replaced' }))
    onLoad({ filter: /./, namespace: 'replaced' }, ({ path }) => ({ contents: replaced[path] }))
  },
}

/**
 * Commands by what they share, each group in one file: the first with all that is loaded anyway. A file for each, and for
 * what each two of them share, would take longer to find than to load.
 */
const groups = [
  ['cat', 'check', 'erase', 'format', 'ls', 'mount', 'write'],
  ['archive', 'list', 'ship', 'show'],
  ['console', 'tty'],
  ['follow', 'info', 'probe'],
]
const grouped = {
  name: 'grouped',
  setup({ onResolve, onLoad }) {
    const resolveDir = path.join(root, 'src/cli')
    onResolve({ filter: /^group:/ }, ({ path }) => ({ path, namespace: 'group' }))
    onLoad({ filter: /./, namespace: 'group' }, ({ path }) => {
      const [, number] = path.split(':')
      const contents = groups[number]
        .map(name => `export * from './commands/${name}.js'\n`)
        .join('')
      return { contents, resolveDir }
    })
    onLoad({ filter: /\/src\/cli\/(?:line|run)\.ts$/ }, ({ path }) => {
      const source = fs.readFileSync(path, 'utf8')
      const contents = source.replaceAll(/import\('\.\/commands\/(\w+)\.js'\)/g, (all, name) => {
        const group = groups.findIndex(names => names.includes(name))
        return group < 0 ? all : group === 0 ? 'usual' : `import('group:${group}')`
      })
      return { contents: `import * as usual from 'group:0'\n${contents}`, resolveDir, loader: 'ts' }
    })
  },
}

/** The licence of a package in the bundle, as it is to go with every copy of it. */
const licenceOf = folder => {
  const { name, version, license } = JSON.parse(
    fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8'),
  )
  const file = fs.readdirSync(path.join(root, folder)).find(name => /^licen[cs]e/i.test(name))
  if (!file) throw new Error(`${folder}: has no licence, and cannot be in the bundle`)
  const text = fs.readFileSync(path.join(root, folder, file), 'utf8').trim()
  return `${name} ${version} (${license})\n\n${text}\n`
}

const bundle = (name, entry) =>
  build({
    absWorkingDir: root,
    entryPoints: { [name]: entry },
    outdir: 'bundle',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external,
    // What is made does not tell where the packages lie.
    preserveSymlinks: true,
    // Names stay, as a mistake of this program is reported with a stack of them.
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    plugins: [loadLate, replace, grouped],
  })

fs.rmSync(folder, { recursive: true, force: true })
// Each with all that it takes: parts that all of them share would be many small files.
const built = await Promise.all([
  bundle('pstorefs', 'src/cli/main.ts'),
  bundle('worker', 'src/service/pool/worker.ts'),
  bundle('looker', 'src/lookout/looker.ts'),
  bundle('index', 'src/index.ts'),
])
fs.chmodSync(path.join(folder, 'pstorefs.js'), 0o755)
const packages = built.flatMap(({ metafile }) =>
  Object.keys(metafile.inputs).flatMap(
    file => /^.*\bnode_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
  ),
)
fs.writeFileSync(
  path.join(folder, 'LICENSES'),
  [...new Set(packages.toSorted().map(licenceOf))].join(`\n${'-'.repeat(72)}\n\n`),
)
