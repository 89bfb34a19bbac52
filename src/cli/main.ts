#!/usr/bin/env node
/** The command line: picks a command, and turns what goes wrong into a line and an exit code. */
import fs from 'node:fs'
import v8 from 'node:v8'
import yargs from 'yargs'
import { hideBin } from 'yargs/helpers'
import { StoreError } from '../pstore/errors.js'
import { archive } from './archive.js'
import { cat } from './cat.js'
import { check } from './check.js'
import { kernelConsole } from './console.js'
import { erase } from './erase.js'
import { follow } from './follow.js'
import { format } from './format.js'
import { tty } from './tty.js'
import { write } from './write.js'
import { isDaemon, reportFailure } from './daemon.js'
import { tell } from './errors.js'
import { info } from './info.js'
import { ls } from './ls.js'
import { mount, mount8 } from './mount.js'
import { dashOptions } from './parameters.js'
import { probe } from './probe.js'

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

const epilogue = `\
SOURCE is [DRIVER:]PATH or the name of a backend in the config file. DRIVER is ramoops (the default), \
zone (pstore_blk), efi or erst; PATH a file, a folder (efi), a block device or a dump.

The layout of a region is what its kernel was booted with: ramoops.record_size=65536 there is \
--record-size 64K here (or --record_size). Sizes: 65536, 0x10000, 64K, 2M. Where one layout option is \
given, the others have Linux's defaults (4096; tty 0, ecc 0). Without any the layout is found out from \
the bytes; \`probe\` says how. Each command's --help lists them.`

// What nobody needs any more goes soon: a hostile region must not make the heap grow (SECURITY.md).
v8.setFlagsFromString('--heap-growing-percent=20')
v8.setFlagsFromString('--semi-space-growth-factor=1')
process.on('uncaughtException', fail)
// Who reads no further has seen enough: `pstorefs ls … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  fail(error)
})
await yargs(dashOptions(hideBin(process.argv)))
  .scriptName('pstorefs')
  .usage(
    '$0 COMMAND SOURCE …\n\nThe last words of a dead machine, as files: ramoops regions in user space.',
  )
  .command(mount)
  .command(ls)
  .command(cat)
  .command(info)
  .command(check)
  .command(probe)
  .command(follow)
  .command(format)
  .command(write)
  .command(tty)
  .command(kernelConsole)
  .command(erase)
  .command(archive)
  .command(mount8)
  .completion(
    'completion',
    'print what makes bash or zsh complete: pstorefs completion >> ~/.bashrc',
    // The form that mount(8) calls has no name.
    (
      _word: string,
      _argv: unknown,
      all: (then: (error: Error | null, found: string[] | undefined) => void) => void,
      done: (found: string[]) => void,
    ) => all((_, found = []) => done(found.filter(word => !word.startsWith('$0')))),
  )
  .parserConfiguration({
    'duplicate-arguments-array': true,
    'parse-numbers': false,
    'parse-positional-numbers': false,
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
    // yargs throws its own errors only for what was not understood.
    if (error instanceof Error && error.name !== 'YError') throw error
    tell(`${(message ?? error.message).replaceAll('\n', ' ')} (see \`pstorefs --help\`)`)
    process.exit(byMount() ? mountWrongUsage : wrongUsage)
  })
  .parseAsync()
  .catch(fail)
