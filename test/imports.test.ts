/**
 * Who imports whom: ARCHITECTURE.md 3, as a test. Imports of types count as much as others, for whoever
 * reads a file has to follow them too.
 */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'

const root = path.resolve(import.meta.dirname, '..')

/**
 * Each room of src/, and what it may import: a room, or one module of it. A room imports only what is
 * below it here, so arrows run one way.
 */
const rooms = JSON.parse(fs.readFileSync(path.join(root, 'test/rooms.json'), 'utf8')) as {
  readonly [room: string]: readonly string[]
}

/** Lines that a file may have: more of them hold more than one idea. */
const mostLines = 450

/** Files that are longer, and why. */
const longFiles: { readonly [file: string]: string } = {}

/** Files that open something by themselves, and why nothing else in its place can keep them waiting. */
const openers: { readonly [file: string]: string } = {
  'native/open.ts': 'is the way to open what others may have replaced',
  'backends/efi/variable-folder.ts':
    'never waits either, and takes a link for a variable that has gone',
  'cli/commands/console.ts': 'opens /dev/kmsg, as its constant says',
  'cli/commands/info.ts': 'writes where its user says, a pipe too',
  'frontends/tty/listener.ts': 'has the name of a terminal from the kernel',
  'frontends/tty/session.ts': 'has the name of a terminal from the kernel',
  'region/lock.ts': 'opens what is open already, and a file in a folder of its own',
  'service/keep-console.ts': "has the console's name from the kernel",
}

/** What opens a file by its path. */
const opening =
  /\b(?:openSync|readFileSync|readFile|createReadStream|openAsBlob)\(|\bfs\.open\(|\bfs[./]promises\b/
/** Opens that never wait, whatever is there: of the kernel's own files, of folders, of a file that is made. */
const harmless = /\([`']\/(?:proc|sys|dev)\/|\bO_DIRECTORY\b|'wx\+?'/

/** What reads and writes, besides the region: the core has none of it. */
const inputOutput = ['node:fs', 'node:child_process', 'node:net', 'node:worker_threads']

const textOf = (file: string): string => fs.readFileSync(path.join(root, 'src', file), 'utf8')

/** Every file, relative to src/. */
const files = fs
  .readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter(file => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .toSorted()

/** What a file imports, exports from elsewhere or requires, as it is written there. */
const specifiersOf = (file: string): string[] =>
  [...textOf(file).matchAll(/\bfrom\s+'([^']+)'|\b(?:import|require|\)\()\s*\(?\s*'([^']+)'/g)].map(
    ([, from, called]) => from ?? called ?? '',
  )

/** The files that each file imports. */
const imports = new Map(
  files.map(file => [
    file,
    specifiersOf(file)
      .filter(specifier => specifier.startsWith('.'))
      .map(specifier => path.join(path.dirname(file), specifier).replace(/\.js$/, '.ts')),
  ]),
)

/** `backends/efi/names.ts` is in `backends`; a file of src/ itself is a room of its own. */
const roomOf = (file: string): string => file.replace(/\.ts$/, '').split('/')[0] ?? ''

/** The driver whose folder a file is in; null where it is in none. */
const driverOf = (file: string): string | null => /^backends\/([^/]+)\//.exec(file)?.[1] ?? null

/** Pass, or fail once for each file that breaks a rule. */
const report = (t: Test, rule: string, broken: readonly string[]): void => {
  for (const message of broken) t.fail(message, { diagnostic: false })
  if (broken.length === 0) t.pass(rule)
}

/** What `look` says of each import that it finds wrong. */
const wrongImports = (look: (file: string, imported: string) => string | null): string[] =>
  [...imports].flatMap(([file, all]) =>
    all
      .map(imported => ({ imported, why: look(file, imported) }))
      .filter(({ why }) => why !== null)
      .map(({ imported, why }) => `src/${file} imports src/${imported}: ${why}`),
  )

/** The shortest way along imports from a file back to itself; null where there is none. */
const circleOf = (file: string): string[] | null => {
  const ways = [[file]]
  const seen = new Set<string>()
  for (const way of ways)
    for (const next of imports.get(way.at(-1) ?? '') ?? []) {
      if (next === file) return [...way, file]
      if (!seen.has(next)) ways.push([...way, next])
      seen.add(next)
    }
  return null
}

t.test('the table has every room, and its arrows run one way', async t => {
  const names = Object.keys(rooms)
  t.same(names.toSorted(), [...new Set(files.map(roomOf))].toSorted())
  for (const [i, [room, allowed]] of Object.entries(rooms).entries())
    for (const entry of allowed)
      t.ok(names.indexOf(roomOf(entry)) > i, `${room} is above ${entry}`, { diagnostic: false })
})

t.test('ARCHITECTURE.md 3 has the same table', async t => {
  const text = fs.readFileSync(path.join(root, 'ARCHITECTURE.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `(\w+)(?:\/|\.ts)` +\|[^|]*\|([^|]*)\|$/gm)]
  const documented = rows.map(([, room, allowed]) => [
    room,
    [...(allowed ?? '').matchAll(/`([\w/]+?)(?:\/|\.ts)?`/g)].map(([, entry]) => entry).toSorted(),
  ])
  t.same(Object.fromEntries(documented), rooms)
})

t.test('a room imports what its row allows', async t => {
  const wrong = wrongImports((file, imported) => {
    const room = roomOf(file)
    // The next test tells of it.
    if (room !== 'backends' && driverOf(imported) !== null) return null
    const allowed = rooms[room] ?? []
    const known = [room, ...allowed].some(
      entry => entry === roomOf(imported) || `${entry}.ts` === imported,
    )
    return known ? null : `${room} may import ${allowed.join(', ') || 'nothing'}`
  })
  report(t, 'each import has its arrow', wrong)
})

t.test('a driver is known by its registry alone', async t => {
  const wrong = wrongImports((file, imported) => {
    const driver = driverOf(imported)
    if (driver === null || driver === driverOf(file)) return null
    if (driverOf(file) !== null) return 'a driver never imports another'
    return file === 'backends/index.ts' ? null : "what is in a driver's folder is the driver's own"
  })
  report(t, 'nobody imports from inside a driver', wrong)
})

t.test('no file imports itself, by whatever way', async t => {
  const circles = files.flatMap(file => {
    const circle = circleOf(file)
    // Each is told once, of the file that comes first in the alphabet.
    return circle && circle.every(other => file <= other) ? [circle] : []
  })
  report(
    t,
    'no circles',
    circles.map(circle => circle.map(file => `src/${file}`).join(' imports ')),
  )
})

t.test('who reads and writes', async t => {
  const wrong = files.flatMap(file =>
    [...new Set(specifiersOf(file))].flatMap(specifier => {
      if (roomOf(file) === 'pstore' && inputOutput.includes(specifier))
        return [`src/${file} imports ${specifier}: the core does no input and output`]
      if (roomOf(file) !== 'native' && specifier === 'koffi')
        return [`src/${file} imports koffi: C functions are called in src/native`]
      return []
    }),
  )
  report(t, 'pstore/ does not, and only native/ calls C', wrong)
})

t.test('a file that others may have replaced is opened by native/open.ts', async t => {
  const opens = (file: string): string[] =>
    textOf(file)
      .split('\n')
      .filter(line => opening.test(line) && !harmless.test(line))
  const wrong = files
    .filter(file => !(file in openers))
    .flatMap(file => opens(file).map(line => `src/${file}: ${line.trim()}`))
  report(t, 'nothing else opens what may be a FIFO by now', wrong)
  for (const file of Object.keys(openers))
    t.not(opens(file).length, 0, `src/${file} still opens something`)
})

t.test('a file holds one idea', async t => {
  const lines = new Map(files.map(file => [file, textOf(file).split('\n').length - 1]))
  const wrong = files
    .filter(file => (lines.get(file) ?? 0) > mostLines && !(file in longFiles))
    .map(file => `src/${file} has ${lines.get(file)} lines, more than ${mostLines}`)
  report(t, `no file has more than ${mostLines} lines`, wrong)
  for (const file of Object.keys(longFiles))
    t.ok((lines.get(file) ?? 0) > mostLines, `src/${file} is still one that is longer`)
})
