/** What the documents name, and what comments cite, is there. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = path.resolve(import.meta.dirname, '..')

/** Made, or not this project's. */
const elsewhere = new Set([
  'node_modules',
  'dist',
  'dist-test',
  'bundle',
  '.git',
  '.tap',
  'coverage',
])

const filesBelow = (folder: string): string[] =>
  fs.readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const file = path.join(folder, entry.name)
    if (elsewhere.has(entry.name)) return []
    return entry.isDirectory() ? filesBelow(file) : [file]
  })

/** Every file of the project, relative to its folder. */
const files = filesBelow('.')
/** Their folders, too. */
const names = [
  ...new Set(
    files.flatMap(file => [
      file,
      ...path
        .dirname(file)
        .split('/')
        .map((_, i, all) => all.slice(0, i + 1).join('/')),
    ]),
  ),
]

/** A text as one line, without the marks that begin a comment's lines: a citation may be broken in two. */
const textOf = (file: string): string =>
  fs.readFileSync(path.join(root, file), 'utf8').replaceAll(/\n\s*(?:\*|\/\/|#)?\s*/g, ' ')

const documents = files.filter(file => file.endsWith('.md'))
/** What is written by hand, and says where something is. */
const texts = [
  ...documents,
  ...files.filter(
    file =>
      /^(?:src|test|scripts|units|\.ci)\//.test(file) &&
      (/\.(?:ts|mjs|service|mount|toml)$/.test(file) || !path.basename(file).includes('.')) &&
      !file.startsWith('test/fixtures/') &&
      !file.startsWith('test/fuzz/found/'),
  ),
]

/** Does a path name something here? It may begin below the project's folder, and `*` stands for any word. */
const isHere = (name: string): boolean => {
  const words = name.replace(/^(?:\.\.?\/)+/, '').replace(/\/$/, '')
  const pattern = words.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*')
  const tail = new RegExp(`(?:^|/)${pattern}$`)
  return names.some(name => tail.test(name))
}

/** A word that stands for a name. */
const placeholder = /(?:^|\/)(?:NAME|TARGET|PACKAGE)\b/

/** The source of a file that is compiled. */
const sourceOf = (name: string): string =>
  name.replace(/^dist-test\/(.*)\.js$/, 'test/$1.ts').replace(/^dist\/(.*)\.js$/, 'src/$1.ts')

/** The numbers of a document's sections. */
const sectionsOf = (file: string): Set<string> =>
  new Set(
    [...fs.readFileSync(path.join(root, file), 'utf8').matchAll(/^##+ (\d+(?:\.\d+)?)\.? /gm)].map(
      ([, number]) => number ?? '',
    ),
  )

const numbered = ['doc/formats.md', 'ARCHITECTURE.md']
/** One number, or several: `1.6`, `1.3–1.6`, `2 and 5`, `1.1, 1.2`. */
const numbers = String.raw`\d+(?:\.\d+)?(?:(?:–|, (?:and )?| and )\d+(?:\.\d+)?)*`

for (const document of numbered)
  t.test(`sections of ${document} that are cited`, async t => {
    const sections = sectionsOf(document)
    t.ok(sections.size > 5)
    const cited = new RegExp(`${document.replace('.', String.raw`\.`)} (${numbers})`, 'g')
    // As "section 7" or "(1.7)".
    const own = new RegExp(String.raw`\b[Ss]ections? (${numbers})|\((\d\.\d)\)`, 'g')
    let found = 0
    for (const file of texts)
      for (const [citation, list = citation] of textOf(file).matchAll(
        file === document ? own : cited,
      ))
        for (const number of list.match(/\d+(?:\.\d+)?/g) ?? []) {
          found++
          if (!sections.has(number)) t.fail(`${file}: ${citation}: there is no section ${number}`)
        }
    t.ok(found > 5, `${found} citations`)
  })

/** A heading's anchor, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-')

t.test('links', async t => {
  for (const file of documents)
    for (const [, target = ''] of fs
      .readFileSync(path.join(root, file), 'utf8')
      .matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue
      const [name = '', anchor] = target.split('#')
      const linked = path.normalize(path.join(path.dirname(file), name || path.basename(file)))
      if (!names.includes(linked.replace(/\/$/, ''))) {
        t.fail(`${file}: ${target} is not there`)
        continue
      }
      t.pass(`${file}: ${target}`)
      if (anchor === undefined) continue
      const headings = fs.readFileSync(path.join(root, linked), 'utf8').matchAll(/^#+ (.*)$/gm)
      const anchors = Array.from(headings, ([, heading]) => anchorOf(heading ?? ''))
      t.ok(anchors.includes(anchor), `${file}: ${target}: its heading`)
    }
})

t.test('files', async t => {
  for (const file of texts) {
    const isDocument = documents.includes(file)
    // In code the names of modules that are beside it are no citations.
    const source = isDocument
      ? /[\w.*/-]*\w\.(?:ts|mjs)\b/g
      : /[\w.*-]+\/[\w.*/-]*\w\.(?:ts|mjs|md)\b/g
    const found = [...textOf(file).matchAll(source)].map(([name]) => name)
    if (isDocument) {
      const told = textOf(file)
      for (const [name] of told.matchAll(/\bdist(?:-test)?\/[\w./-]+\.js\b/g)) found.push(name)
      for (const [, name = ''] of told.matchAll(
        /[`( ]((?:src|test|scripts|native-notes|doc|man|units)\/[\w.*/-]*[\w*/])/g,
      ))
        found.push(name)
    }
    const missing = new Set(
      found.map(sourceOf).filter(name => !placeholder.test(name) && !isHere(name)),
    )
    for (const name of missing) t.fail(`${file}: ${name} is not there`)
  }
  t.pass(`${texts.length} files`)
})

t.test('fixtures', async t => {
  const fixtures = files
    .filter(file => /^test\/fixtures\/.*\.json$/.test(file))
    .map(file => path.basename(file, '.json'))
  const families = new Set(fixtures.map(name => name.replace(/[-\d].*/, '')))
  const isFixture = (name: string): boolean => {
    const pattern = new RegExp(`^${name.replaceAll('*', '.*')}$`)
    return fixtures.some(fixture => pattern.test(fixture))
  }
  for (const file of ['test/fixtures/README.md', 'doc/formats.md'])
    for (const [, name = ''] of textOf(file).matchAll(/`([a-z]+[\d*]*-[a-z0-9*-]+)`/g)) {
      const [family = '', second = ''] = name.split('-')
      // Files' names are made of a type and a backend.
      if (!families.has(family.replace(/[\d*]+$/, '')) || /^(?:ramoops|efi|erst)$/.test(second))
        continue
      t.ok(isFixture(name), `${file}: ${name}`, { diagnostic: false })
    }
  for (const file of texts)
    for (const [, name = ''] of textOf(file).matchAll(
      /test\/fixtures\/([a-z][\w-]*)(?![\w./-]*\.)/g,
    ))
      t.ok(isFixture(name) || isHere(`test/fixtures/${name}`), `${file}: fixture ${name}`)
})

t.test('nobody cites what is no longer here', async t => {
  for (const file of texts)
    for (const [name] of textOf(file).matchAll(/\b(?:DESIGN|FORMATS)\.md|\bfixtures-kernels/g))
      // These words are this test's own, and of who reads that folder beside the project.
      if (!['test/documents.test.ts', 'test/e2e/kernels.ts'].includes(file))
        t.fail(`${file}: cites ${name}`)
  t.pass(`${texts.length} files`)
})
