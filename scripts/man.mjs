/**
 * Make the man pages, of man/*.md and what --help says: node scripts/man.mjs. They go to dist/man/.
 */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

const root = path.resolve(import.meta.dirname, '..')
const run = promisify(execFile)
const main = path.join(root, 'bundle/pstorefs.js')
const help = async args =>
  (
    await run(process.execPath, [main, ...args, '--help'], {
      env: { ...process.env, COLUMNS: '80' },
    })
  ).stdout

/** The commands that the program's own help lists, but the one that prints a script, also with --help. */
const commands = [...(await help([])).matchAll(/^ {2}pstorefs ([a-z]+) /gm)]
  .map(([, name]) => name)
  .filter(name => name !== 'completion')
const helps = await Promise.all(commands.map(name => help([name])))
const block = text => `\`\`\`\n${text.trimEnd()}\n\`\`\``
const helpText = commands
  .map((name, i) => `### pstorefs ${name}\n\n${block(helps[i])}`)
  .join('\n\n')

const { parameters } = await import(path.join(root, 'dist/cli/options/parameters.js'))
const parameterText = Object.entries(parameters)
  .map(([name, { describe }]) => `- \`${name}\`:\n  ${describe}`)
  .join('\n')

const { version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
const converter = path.join(root, 'node_modules/marked-man/bin/marked-man.js')
/** The pages' date: a package's is the same wherever it is made. */
const { SOURCE_DATE_EPOCH: epoch } = process.env
const changed = epoch
  ? new Date(Number(epoch) * 1000)
  : fs.statSync(path.join(root, 'CHANGELOG.md')).mtime
const folder = path.join(root, 'dist/man')
fs.mkdirSync(folder, { recursive: true })
for (const page of fs.readdirSync(path.join(root, 'man'))) {
  const name = page.replace(/\.md$/, '')
  const text = fs
    .readFileSync(path.join(root, 'man', page), 'utf8')
    .replace('@HELP@', () => helpText)
    .replace('@PARAMETERS@', () => parameterText)
  const source = path.join(folder, `${name}.source.md`)
  fs.writeFileSync(source, text)
  const date = changed.toISOString().slice(0, 10)
  const { stdout } = await run(process.execPath, [
    converter,
    '--no-breaks',
    '--version',
    `pstorefs ${version}`,
    '--manual',
    'pstorefs',
    '--date',
    date,
    source,
  ])
  fs.writeFileSync(path.join(folder, name), stdout)
  fs.rmSync(source)
}
