/** How src/ and the packages that it imports become few files: what scripts/bundle.mjs and scripts/single.mjs share. */
import path from 'node:path'

export const root = path.resolve(import.meta.dirname, '..')

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

/** Options of esbuild. */
export const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  // Of packages that have both, ES modules: what nobody calls is left out, and nothing is asked for by require().
  mainFields: ['module', 'main'],
  target: 'node20',
  external,
  // What is made does not tell where the packages lie.
  preserveSymlinks: true,
  // Names stay, as a mistake of this program is reported with a stack of them.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  plugins: [loadLate, replace],
}
