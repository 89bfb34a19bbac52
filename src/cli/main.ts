#!/usr/bin/env node
/** The command line: picks a command, and turns what goes wrong into a line and an exit code. */
import fs from 'node:fs'
import v8 from 'node:v8'
import yargs, { type CommandModule } from 'yargs'
import { hideBin } from 'yargs/helpers'
import { backendName, driverNames } from '../attach.js'
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
import { isDaemon, reportFailure } from '../service/daemon.js'
import { tell } from '../service/log.js'
import { info } from './commands/info.js'
import { ls } from './commands/ls.js'
import { mount, mount8 } from './commands/mount.js'
import { dashOptions } from './options/parameters.js'
import { probe } from './commands/probe.js'

/** Exit codes: 1 where something could not be done, 2 where it was not understood. */
const failed = 1
const wrongUsage = 2
/** mount(8)'s own exit codes for the same, which it passes on from us. */
const mountFailed = 32
const mountWrongUsage = 1

/** Has mount(8) called us? By mount.fuse(8) and the shell, each of which becomes the next. */
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

const fail = (error: unknown): never => {
  const message =
    error instanceof StoreError ? error.message : ((error as Error).stack ?? String(error))
  if (isDaemon()) reportFailure(message)
  else tell(message)
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
PATH a file, a folder (efi), a block device or a dump.

The layout of a region is what its kernel was booted with: ramoops.record_size=65536 there is \
--record-size 64K here (or --record_size). Sizes: 65536, 0x10000, 64K, 2M. Where one layout option is \
given, the others have Linux's defaults (4096; tty 0, ecc 0). Without any the layout is found out from \
the bytes; \`probe\` says how. Each command's --help lists them.`

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
]
const line = hideBin(process.argv)

/** What is wrong with a command line, of which yargs says so. */
const usageProblem = (said: string): string => {
  const [first] = line
  const command = commands
    .map(({ command }) => String(command).split(' ')[0])
    .find(name => name === first)
  const help = `(see \`pstorefs ${command ? `${command} ` : ''}--help\`)`
  if (first === undefined) return `no command is given ${help}`
  // Anything may be mount(8)'s SOURCE.
  if (!command && /^[a-z]+$/.test(first) && !fs.existsSync(first))
    return `${first}: no such command ${help}`
  return `${said.replaceAll(/\s+/g, ' ')} ${help}`
}

// What nobody needs any more goes soon: a hostile region must not make the heap grow (SECURITY.md).
v8.setFlagsFromString('--heap-growing-percent=20')
v8.setFlagsFromString('--semi-space-growth-factor=1')
process.on('uncaughtException', fail)
// Who reads no further has seen enough: `pstorefs ls … | head`.
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
    'print what makes bash or zsh complete: pstorefs completion >> ~/.bashrc',
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
  // Its types know no plural forms, which its own locales have.
  .updateStrings({
    'Not enough non-option arguments: got %s, need at least %s': {
      one: 'too few arguments: got %s, need at least %s',
      other: 'too few arguments: got %s, need at least %s',
    },
  } as never)
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
    // yargs throws its own errors only for what was not understood.
    if (error instanceof Error && error.name !== 'YError') throw error
    tell(usageProblem(message ?? error.message))
    process.exit(byMount() ? mountWrongUsage : wrongUsage)
  })
  .parseAsync()
  .catch(fail)
