/** `pstorefs status`: this machine's mounts, their backends, and what is wrong with them. */
import type { CommandModule } from 'yargs'
import { count } from '../../pstore/condition.js'
import { json } from '../../pstore/printable.js'
import { askMounts, printAnswer, type MountAnswer } from '../../service/ask-mounts.js'
import { thisProgram } from '../../service/daemon.js'
import { oneLine } from '../../service/log.js'
import { isNotable, type BackendStatus } from '../../service/status.js'
import { print } from '../show/output.js'
import { table } from '../show/table.js'

interface Args {
  json: boolean
  ask: string | undefined
}

/** The exit code where something is wrong, or a crash waits to be seen. */
const wrongExit = 1

const details =
  'Shows the mounts of this machine that this process sees: for each backend whether it is attached, or why not, its ' +
  'damaged zones, and how many dumps are in it: of crashes that nobody has erased, or moved to an archive (--keep leaves ' +
  'them). A mount that does not answer within 10 seconds is said to be silent. Exit codes: 0 all is well, or nothing is mounted; 1 something is wrong, or there is a dump; 2 wrong usage.'

export const status: CommandModule<object, Args> = {
  command: 'status',
  describe: "show this machine's mounts, and what is wrong with them",
  builder: argv =>
    argv
      .usage(`$0 status [options]\n\n${details}`)
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an array' })
      // For the process that asks one mount, and may have to be left behind.
      .option('ask', { type: 'string', requiresArg: true, hidden: true })
      .example('$0 status', 'exits with 1 where something is wrong, or a crash waits'),
  handler: async args => {
    if (args.ask !== undefined) {
      printAnswer(args.ask)
      return
    }
    const mounts = await askMounts([...thisProgram(), 'status', '--ask'])
    if (args.json) print([`${json(mounts.map(toJson))}\n`])
    else if (mounts.length === 0) print(['nothing is mounted\n'])
    else print(linesOf(mounts))
    if (mounts.some(isWrong)) process.exitCode = wrongExit
  },
}

const isWrong = ({ state, status }: MountAnswer): boolean =>
  !status
    ? state === 'silent' || state === 'dead'
    : status.failed.length > 0 || status.backends.some(isNotable)

const toJson = ({ readOnly, status, ...mount }: MountAnswer) => ({
  ...mount,
  read_only: readOnly,
  status: status && {
    ...status,
    backends: status.backends.map(({ readOnly, ...one }) => ({ ...one, read_only: readOnly })),
  },
})

const words = {
  answers: '',
  silent: 'does not answer',
  dead: 'dead: nobody serves it any more (umount it)',
  denied: 'belongs to another user: only that user may look into it',
  mute: 'does not tell (transport=libfuse, or another version of pstorefs)',
} as const

const wordsOf = ({ dumps, problem, damage }: BackendStatus): string[] =>
  [
    problem,
    problem === null && dumps === null ? 'does not answer' : null,
    dumps ? count(dumps, 'dump') : null,
    ...damage,
  ].filter(text => text !== null)

function* linesOf(mounts: readonly MountAnswer[]): Generator<string, void, void> {
  for (const { mountpoint, source, readOnly, uid, state, status } of mounts) {
    const facts = [
      readOnly ? 'read-only' : null,
      uid ? `user ${uid}` : null,
      status ? `pid ${status.pid}` : null,
    ].filter(text => text !== null)
    yield `${oneLine(mountpoint)}: ${oneLine(source)}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}${words[state] && `: ${words[state]}`}\n`
    if (!status) continue
    yield* table(
      [
        ...status.backends.map(one => [
          `  ${oneLine(one.name)}`,
          oneLine(one.source),
          oneLine(wordsOf(one).join('; ') || 'well'),
        ]),
        ...status.failed.map(({ name, why }) => [
          `  ${oneLine(name)}`,
          'not attached',
          oneLine(why),
        ]),
      ],
      [],
    )
    if (status.more > 0) yield `  … and ${status.more} more\n`
  }
}
