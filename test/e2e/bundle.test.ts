/** The bundle: what is shipped is what was built, whole, and the same each time. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { loadFixture } from '../fixtures.js'
import { file, folder, run } from '../program.js'

const project = path.resolve(import.meta.dirname, '../..')
const bundle = path.join(project, 'bundle')

/** The programs that are to say the same: each module as it is built, and the bundle. */
const programs = ['dist/cli/main.js', 'bundle/pstorefs.js'].map(name => path.join(project, name))

const both = (args: string[]): { status: number | null; said: string }[] =>
  programs.map(program => {
    const { status, stdout, stderr } = run(process.execPath, [program, ...args])
    return { status, said: `${stdout}${stderr}` }
  })

const filesOf = (below: string): { [name: string]: string } =>
  Object.fromEntries(
    fs
      .readdirSync(below)
      .toSorted()
      .map(name => [name, fs.readFileSync(path.join(below, name), 'latin1')]),
  )

t.test('help, versions, completions and mistakes are those of the modules', async t => {
  const { version } = JSON.parse(fs.readFileSync(`${project}/package.json`, 'utf8')) as {
    version: string
  }
  for (const args of [['--version'], ['-V'], ['ls', '--version'], ['--version', '--all']])
    for (const outcome of both(args))
      t.same(outcome, { status: 0, said: `${version}\n` }, args.join(' '))
  const [, help] = both(['--help'])
  const commands = [...help.said.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name)
  t.ok(commands.length > 10)
  for (const args of [
    ['--help'],
    ...commands.map(name => [name, '--help']),
    ...commands.map(name => [name, '--bogus', 'a', 'b', 'c', 'd']),
    ['--get-yargs-completions', 'pstorefs', 'ls', '--rec'],
    ['--get-yargs-completions', 'pstorefs', 'write', ''],
    [],
    ['lss'],
  ]) {
    const [modules, bundled] = both(args)
    t.same(bundled, modules, args.join(' '))
  }
})

t.test('the library', async t => {
  const fixture = loadFixture('all-noecc')
  const region = file(t, fixture.region())
  const script = `
    import { attach } from 'pstorefs'
    const [region, layout] = process.argv.slice(1)
    for (const { name } of attach(region, JSON.parse(layout)).records()) console.log(name)`
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', script, region, JSON.stringify(fixture.layout)],
    { cwd: project },
  )
  t.same([status, stderr.toString()], [0, ''])
  t.same(
    stdout.toString().trim().split('\n').toSorted(),
    fixture.files.map(({ name }) => name).toSorted(),
  )
})

t.test('made again it is the same', async t => {
  const copy = folder(t)
  for (const name of ['package.json', 'tsconfig.json', 'src', 'scripts'])
    fs.cpSync(path.join(project, name), `${copy}/${name}`, { recursive: true })
  fs.symlinkSync(path.join(project, 'node_modules'), `${copy}/node_modules`)
  const { status, stderr } = run(process.execPath, [`${copy}/scripts/bundle.mjs`])
  t.same([status, stderr], [0, ''])
  t.same(Object.keys(filesOf(`${copy}/bundle`)), Object.keys(filesOf(bundle)))
  const made = filesOf(`${copy}/bundle`)
  for (const [name, text] of Object.entries(filesOf(bundle))) t.ok(made[name] === text, name)
})

t.test('nothing of the machine that made it, and all licences', async t => {
  const files = filesOf(bundle)
  for (const [name, text] of Object.entries(files)) {
    t.notOk(text.includes(project), name)
    t.notMatch(name, /\.map$/)
    t.notMatch(text, /sourceMappingURL/)
  }
  for (const name of ['yargs', 'yargs-parser', 'pako', 'smol-toml'])
    t.match(files.LICENSES, new RegExp(`^${name} [\\d.]+ \\(`, 'm'))
})
