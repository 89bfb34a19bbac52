/**
 * The library as its users have it: the packed files in a project of their own, compiled strictly against the types that
 * are in there, and run. The documents' examples likewise.
 */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import * as library from '#src/index.js'
import { attach, format, writeDump } from '#src/index.js'
import { folder, isMounted, run } from '../program.js'

const project = path.resolve(import.meta.dirname, '../..')
const consumer = path.join(project, 'test/consumer')

/** A project that has the packed files as a package, and of others only what those need. */
const makeProject = (t: Test): string => {
  const home = folder(t)
  const packed = run('npm', [
    'pack',
    '--ignore-scripts',
    '--silent',
    '--pack-destination',
    home,
    project,
  ])
  t.equal(packed.status, 0, packed.stderr)
  const modules = `${home}/node_modules`
  fs.mkdirSync(`${modules}/pstorefs`, { recursive: true })
  const tarball = `${home}/${packed.stdout.toString().trim()}`
  run('tar', ['xzf', tarball, '-C', `${modules}/pstorefs`, '--strip-components=1'])
  for (const name of ['koffi', '@koromix', '@types', 'undici-types'])
    fs.symlinkSync(path.join(project, 'node_modules', name), `${modules}/${name}`)
  for (const name of fs.readdirSync(consumer))
    fs.copyFileSync(`${consumer}/${name}`, `${home}/${name}`)
  return home
}

/** Compile a project's files, which must succeed. */
const compile = (t: Test, home: string): void => {
  const tsc = path.join(project, 'node_modules/.bin/tsc')
  const { status, stdout } = run(process.execPath, [fs.realpathSync(tsc), '-p', home])
  t.equal(status, 0, stdout.toString())
}

/** Run one of a project's programs in a folder, without tap in it. */
const runIn = (t: Test, cwd: string, file: string) => {
  t.teardown(() => {
    if (isMounted(`${cwd}/mnt`)) run('fusermount3', ['-u', '-z', `${cwd}/mnt`])
  })
  return run('sh', ['-c', 'unset NODE_OPTIONS; cd "$1"; exec node "$2"', 'sh', cwd, file])
}

/** Each `ts` block of a text; of source files those of their comments. */
const examplesIn = (text: string): string[] =>
  Array.from(
    text.matchAll(/^( \* |)```ts\n([^]*?)^(?: \* |)```$/gm),
    ([, mark = '', block = '']) => (mark ? block.replaceAll(/^ \* ?/gm, '') : block),
  )

const sources = fs
  .readdirSync(path.join(project, 'src'), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .map(name => `src/${name}`)
const documents = [...sources, 'README.md', 'doc/guides/library.md']
const examples = documents.flatMap(name =>
  examplesIn(fs.readFileSync(path.join(project, name), 'utf8')).map((text, n) => ({
    name: `${name.replaceAll(/[/.]/g, '-')}-${n}`,
    text,
  })),
)

/** The files that the examples speak of. */
const makeFiles = (t: Test): string => {
  const home = folder(t)
  const layout = { record_size: 65536, console_size: 262144 }
  for (const name of ['region.img', 'guest2.img', 'ram.img']) {
    format(`${home}/${name}`, { ...layout, mem_size: 1 << 20 })
    const backend = attach(`${home}/${name}`, layout)
    const text = Buffer.from('[   12.000000] Kernel panic - not syncing: why\n')
    backend.write({ type: 'console', bytes: text })
    writeDump(backend, text)
    backend.close()
  }
  fs.mkdirSync(`${home}/mnt`)
  return home
}

t.test('a program of its own', async t => {
  const home = makeProject(t)
  compile(t, home)
  fs.mkdirSync(`${home}/mnt`)
  const { status, stdout, stderr } = runIn(t, home, 'out/main.js')
  t.equal(status, 0, stderr)
  t.equal(stderr, '', 'a library says nothing by itself')
  t.matchOnly(JSON.parse(stdout.toString()), {
    made: [/^--mem-size 1048576 --record-size 65536 /, /^ramoops\.mem_address=/],
    names: ['dmesg-ramoops-0', 'console-ramoops-0'],
    read: /^Panic#1 Part1\n<0>\[ {3}12\.000000\] Kernel panic/,
    json: {
      backend: 'ramoops',
      type: 'dmesg',
      id: '0',
      name: 'dmesg-ramoops-0',
      size: 64,
      mtime: 'string',
      compressed: false,
      ecc: null,
    },
    crash: ['panic', 'kernel panic: why'],
    followed: 'first\nsecond\n',
    ended: 'AbortError',
    noRing: /^ENOENT tty-ramoops-0: no ring; there is console-ramoops-0, /,
    mounted: ['console-ramoops-0', 'dmesg-ramoops-0', 'ramoops'],
    cat: 'first\nsecond\n',
    later: /^Panic#1 Part1\n/,
    mode: 0o400,
    unmounted: [],
    left: ['console-ramoops-0'],
    erased: true,
    gone: /^ENOENT dmesg-ramoops-0: no such record$/,
    guessed: [true, 2],
    notWritten: /^EROFS copy\.img: /,
    uncertain: true,
    probed: [[1 << 20, false]],
    types: true,
    none: /^ENOENT none\.img: no such file$/,
  })
})

t.test('each example compiles, and does what it says', async t => {
  const home = makeProject(t)
  for (const { name, text } of examples) fs.writeFileSync(`${home}/${name}.ts`, text)
  compile(t, home)
  for (const { name } of examples) {
    const { status, stderr } = runIn(t, makeFiles(t), `${home}/out/${name}.js`)
    t.same([status, stderr], [0, ''], name)
  }
})

t.test('each function, class and list has an example', async t => {
  const shown = new Set(
    examples.flatMap(({ text }) =>
      Array.from(text.matchAll(/^import \{([^}]*)\} from 'pstorefs'/gm), ([, names = '']) =>
        names.split(',').map(name => name.trim().replace(/^type /, '')),
      ).flat(),
    ),
  )
  for (const name of Object.keys(library)) t.ok(shown.has(name), name)
})
