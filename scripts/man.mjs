/**
 * Make the man pages, of man/*.md and what the program's help says: node scripts/man.mjs. They go to dist/man/.
 * In a page @HELP NAME@ is the help of a command or topic, @HELPS@ that of all commands that no page has,
 * @COMMANDS@ a line for each command, and @PARAMETERS@ the options that describe a store.
 */
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

const root = path.resolve(import.meta.dirname, '..')
const run = promisify(execFile)
const main = path.join(root, 'bundle/pstorefs.js')
const { commandNames } = await import(path.join(root, 'dist/cli/command-names.js'))
const { loadCommands } = await import(path.join(root, 'dist/cli/commands.js'))
const help = async name =>
  (
    await run(process.execPath, [main, 'help', name], { env: { ...process.env, COLUMNS: '72' } })
  ).stdout.trimEnd()

const pages = new Map(
  fs
    .readdirSync(path.join(root, 'man'))
    .map(page => [
      page.replace(/\.md$/, ''),
      fs.readFileSync(path.join(root, 'man', page), 'utf8'),
    ]),
)
const asked = /@HELP (\w+)@/g
const elsewhere = new Set(
  [...pages.values()].flatMap(text => Array.from(text.matchAll(asked), ([, name]) => name)),
)
const helps = new Map(
  await Promise.all(
    [...new Set([...commandNames, ...elsewhere])].map(async name => [name, await help(name)]),
  ),
)
const helpText = commandNames
  .filter(name => !elsewhere.has(name))
  .map(name => `### pstorefs ${name}\n\n\`\`\`\n${helps.get(name)}\n\`\`\``)
  .join('\n\n')

/** The page that has a command's help, for those that stand alone. */
const pageOf = name => {
  const found = Array.from(pages).find(([, text]) => text.includes(`@HELP ${name}@`))
  return found ? `; ${found[0].replace(/\.(\d)$/, '($1)')}` : ''
}
const loaded = await loadCommands(commandNames)
const commandText = commandNames
  .map((name, i) => `- \`${name}\`:\n  ${loaded[i].describe}${pageOf(name)}`)
  .join('\n')

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
for (const [name, source] of pages) {
  const text = source
    .replaceAll(asked, (_, name) => helps.get(name))
    .replace('@HELPS@', () => helpText)
    .replace('@COMMANDS@', () => commandText)
    .replace('@PARAMETERS@', () => parameterText)
  const made = path.join(folder, `${name}.source.md`)
  fs.writeFileSync(made, text)
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
    made,
  ])
  fs.writeFileSync(path.join(folder, name), stdout)
  fs.rmSync(made)
}
