/**
 * Make what is shipped, of src/ and the packages that it imports: node scripts/bundle.mjs. It goes to bundle/: the
 * program, the threads of the pool and of the lookout, the library, what only some commands need, and LICENSES of the packages.
 */
import { build } from 'esbuild'
import fs from 'node:fs'
import path from 'node:path'
import { common, root } from './bundling.mjs'

const folder = path.join(root, 'bundle')

/**
 * Commands by what they share, each group in one file: the first with all that is loaded anyway. A file for each, and for
 * what each two of them share, would take longer to find than to load.
 */
const groups = [
  ['cat', 'check', 'erase', 'format', 'ls', 'mount', 'write'],
  ['archive', 'list', 'ship', 'show'],
  ['console', 'tty'],
  ['follow', 'info', 'probe', 'retention', 'status'],
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
    onLoad({ filter: /\/src\/cli\/(?:commands|run)\.ts$/ }, ({ path }) => {
      const source = fs.readFileSync(path, 'utf8')
      const contents = source.replaceAll(/import\('\.\/commands\/(\w+)\.js'\)/g, (all, name) => {
        const group = groups.findIndex(names => names.includes(name))
        return group < 0 ? all : group === 0 ? 'usual' : `import('group:${group}')`
      })
      return { contents: `import * as usual from 'group:0'\n${contents}`, resolveDir, loader: 'ts' }
    })
  },
}

/** Between two licences. */
const rule = `\n${'-'.repeat(72)}\n\n`

/** The licences of packages, as they are to go with every copy: a text that several have is there once. */
const licencesOf = folders => {
  const names = new Map()
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(
      fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8'),
    )
    const file = fs.readdirSync(path.join(root, folder)).find(name => /^licen[cs]e/i.test(name))
    if (!file) throw new Error(`${folder}: has no licence, and cannot be in the bundle`)
    const text = fs.readFileSync(path.join(root, folder, file), 'utf8').trim()
    names.set(text, [...(names.get(text) ?? []), `${name} ${version} (${license})`])
  }
  return Array.from(names, ([text, of]) => `${of.join('\n')}\n\n${text}\n`).join(rule)
}

/** @param entryPoints by name; what several share is in files of its own */
const bundle = entryPoints =>
  build({
    ...common,
    entryPoints,
    outdir: 'bundle',
    chunkNames: '[name]-[hash]',
    splitting: true,
    format: 'esm',
    metafile: true,
    plugins: [...common.plugins, grouped],
  })

fs.rmSync(folder, { recursive: true, force: true })
// Each with all that it takes: parts that all of them share would be many small files.
const built = await Promise.all([
  bundle({ pstorefs: 'src/cli/main.ts' }),
  bundle({ worker: 'src/service/pool/worker.ts' }),
  bundle({ looker: 'src/lookout/looker.ts' }),
  bundle({ index: 'src/index.ts', mounted: 'src/library/mounted.ts' }),
])
fs.chmodSync(path.join(folder, 'pstorefs.js'), 0o755)
const packages = built.flatMap(({ metafile }) =>
  Object.keys(metafile.inputs).flatMap(
    file => /^.*\bnode_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
  ),
)
fs.writeFileSync(path.join(folder, 'LICENSES'), licencesOf(new Set(packages.toSorted())))
