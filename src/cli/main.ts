#!/usr/bin/env node
/** The command line: picks a command, and turns an error into a line and an exit code. */
import fs from 'node:fs'
import v8 from 'node:v8'
import yargs, { type CommandModule } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { backendName, driverNames } from '../attach.js'
import { isOutOfFiles, outOfFiles } from '../native/descriptors.js'
import { standardInput } from '../native/stdin.js'
import { StoreError } from '../pstore/errors.js'
import { archive } from './commands/archive.js'
import { cat } from './commands/cat.js'
import { check } from './commands/check.js'
import { complete } from './commands/completion.js'
import { kernelConsole } from './commands/console.js'
import { erase } from './commands/erase.js'
import { follow } from './commands/follow.js'
import { format } from './commands/format.js'
import { tty } from './commands/tty.js'
import { write } from './commands/write.js'
import { reportFailure } from '../service/daemon.js'
import { tell, tellLast } from '../service/log.js'
import { info } from './commands/info.js'
import { list } from './commands/list.js'
import { ls } from './commands/ls.js'
import { mount, mount8 } from './commands/mount.js'
import { ship } from './commands/ship.js'
import { show } from './commands/show.js'
import { dashOptions } from './options/parameters.js'
import { probe } from './commands/probe.js'

/** Exit codes: 1 for a failure, 2 for wrong usage. */
const failed = 1
const wrongUsage = 2
/** The same in mount(8)'s exit codes, which it passes on from its helpers. */
const mountFailed = 32
const mountWrongUsage = 1

/** Whether mount(8) called this program, directly or by mount.fuse(8) and a shell. */
const byMount = (): boolean => {
  let pid = process.ppid
  for (let generations = 0; generations < 2; generations++) {
    const status = readStatus(pid)
    if (/^Name:\tmount$/m.test(status)) return true
    pid = Number(/^PPid:\t(\d+)$/m.exec(status)?.[1] ?? 0)
  }
  return false
}

const readStatus = (pid: number): string => {
  try {
    return fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}

const fail = (thrown: unknown): never => {
  const error = !(thrown instanceof StoreError) && isOutOfFiles(thrown) ? outOfFiles() : thrown
  const message =
    error instanceof StoreError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error)
  if (!reportFailure(message)) tellLast(message)
  process.exit(byMount() ? mountFailed : failed)
}

/** The drivers, and what Linux calls their backends where that is another name. */
const driverList = driverNames
  .map((name, i) => {
    const other = backendName(name)
    return i === 0 ? `${name} (the default)` : other === name ? name : `${name} (${other})`
  })
  .join(', ')

const epilogue = `\
SOURCE is [DRIVER:]PATH or the name of a backend in the config file. DRIVER is ${driverList}; \
PATH a file, a folder (efi, records), a block device or a dump, compressed or not; - is standard input. Without DRIVER it \
is found out by the content.

The layout of a region comes from its kernel's boot parameters: ramoops.record_size=65536 there is \
--record-size 64K here (or --record_size). Sizes: 65536, 0x10000, 64K, 2M. Where one layout option is \
given, the others have Linux's defaults (4096; tty 0, ecc 0). Without any, the layout is found from the \
bytes; \`probe\` shows how. Each command's --help lists the layout options.`

const commands = [
  mount,
  ls,
  cat,
  info,
  check,
  probe,
  follow,
  format,
  write,
  tty,
  kernelConsole,
  erase,
  archive,
  list,
  show,
  ship,
]
const line = hideBin(process.argv)

/** Samples of commands' arguments. */
const samples: { readonly [argument: string]: string } = {
  source: 'region.img',
  names: 'dmesg-ramoops-0',
  type: 'console',
  mountpoint: '/mnt',
  dir: 'crashes',
}

/** Name the first argument that is missing, with an example; null where yargs reports another problem. */
const missingArgument = (command: string, said: string): string | null => {
  const [, given] = /^too few arguments: got (\d+)/.exec(said) ?? []
  if (given === undefined) return null
  const all = [...command.matchAll(/[<[](\w+)/g)].map(([, name = '']) => name)
  const name = command.split(' ')[0]!.replace('$0', '')
  const missing = all[Number(given)]?.replace('names', 'name').toUpperCase()
  if (missing === undefined) return null
  const example = ['pstorefs', name, ...all.map(argument => samples[argument])]
  return `${name ? `${name}: ` : ''}${missing} is missing, e.g. ${example.filter(Boolean).join(' ')}`
}

/** What options of `archive` have become. */
const commandsSince: readonly (readonly [option: RegExp, command: string])[] = [
  [/^--list(?:=|$)/, 'list DIR'],
  [/^--show(?:=|$)/, 'show DIR CRASH'],
]

/** A usage error in a line, after yargs's own message. */
const usageProblem = (said: string): string => {
  const [first] = line
  const since = commandsSince.find(([option]) => line.some(word => option.test(word)))
  if (first === 'archive' && since) return `this is a command of its own: pstorefs ${since[1]}`
  const command = commands
    .map(({ command }) => String(command))
    .find(text => text.split(' ')[0] === first)
  const help = `(see \`pstorefs ${command ? `${first} ` : ''}--help\`)`
  if (first === undefined) return `no command is given ${help}`
  // In mount(8)'s form the first word may be any SOURCE.
  if (!command && /^[a-z]+$/.test(first) && !fs.existsSync(first))
    return `${first}: no such command ${help}`
  const missing = missingArgument(command ?? String(mount8.command), said)
  return `${missing ?? said.replace(/^--(?=\w )/, '-').replaceAll(/\s+/g, ' ')} ${help}`
}

// Garbage is collected soon: a hostile region must not make the heap grow (SECURITY.md).
v8.setFlagsFromString('--heap-growing-percent=20')
v8.setFlagsFromString('--semi-space-growth-factor=1')
process.on('uncaughtException', fail)
// The reader has seen enough: `pstorefs ls … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  fail(error)
})
await yargs(dashOptions(line))
  .scriptName('pstorefs')
  .usage(
    '$0 COMMAND SOURCE …\n\nThe last words of a dead machine, as files: ramoops regions in user space.',
  )
  .command(commands as CommandModule[])
  .command(mount8)
  .completion(
    'completion',
    'print a completion script for bash or zsh: pstorefs completion >> ~/.bashrc',
    (
      _word: string,
      _argv: unknown,
      all: (then: (error: Error | null, found: string[] | undefined) => void) => void,
      done: (found: string[]) => void,
    ) => all((_, known = []) => done([...complete(line.slice(1), known)])),
  )
  .parserConfiguration({
    'duplicate-arguments-array': true,
    'parse-numbers': false,
    'parse-positional-numbers': false,
  })
  // yargs's locales have plural forms, its types do not know them.
  .updateStrings({
    'Not enough non-option arguments: got %s, need at least %s': {
      one: 'too few arguments: got %s, need at least %s',
      other: 'too few arguments: got %s, need at least %s',
    },
    'Not enough arguments following: %s': '--%s needs a value',
  } as never)
  // yargs makes an empty SOURCE of `-`.
  .middleware(args => {
    if (args.source === '' && line.includes(standardInput)) args.source = standardInput
  })
  .strict()
  .demandCommand(1)
  .recommendCommands()
  .help()
  .alias('help', 'h')
  .version()
  .alias('version', 'V')
  .wrap(Math.min(100, process.stdout.columns ?? 80))
  .epilogue(epilogue)
  .fail((message, error) => {
    // yargs throws a YError only for wrong usage.
    if (error instanceof Error && error.name !== 'YError') throw error
    tell(usageProblem(message ?? error.message))
    process.exit(byMount() ? mountWrongUsage : wrongUsage)
  })
  .parseAsync()
  .catch(fail)
