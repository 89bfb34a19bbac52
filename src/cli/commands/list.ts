/** `pstorefs list`: the crashes that a machine, an archive or a store has kept, a line each. */
import type { Argv, CommandModule } from 'yargs'
import { describeCrash } from '../../crash/diagnosis.js'
import { printTime } from '../../pstore/time.js'
import { oneLine, tell } from '../../service/log.js'
import type { BackendChoice } from '../../service/plan.js'
import { checkExpression, Expression } from '../options/expression.js'
import { parseBackends } from '../options/mount-options.js'
import { lookIn, type Kept, type WhereArgs } from '../options/kept.js'
import { parametersOf, withParameters } from '../options/parameters.js'
import { parseWhen } from '../options/since.js'
import { withConfig } from '../options/source.js'
import { jsonArray, print, printJson } from '../show/output.js'
import { table, type Look } from '../show/table.js'
import { timeColumn, when } from '../show/time.js'

interface Args extends WhereArgs {
  where: string[]
  n: number | undefined
  1: boolean
  since: number | undefined
  until: number | undefined
  grep: string | undefined
  backend: NonNullable<BackendChoice> | undefined
  group: boolean
  json: boolean
}

/** The exit code where no crash is listed, as coredumpctl(1) has it. */
const noneExit = 1

const details =
  'Lists crashes, the newest first: its number and time, the backend, how often it was seen, and what it was. ' +
  'WHERE is an archive of `archive`, a folder of record files as systemd-pstore makes, a mount, or a source; ' +
  'without one /var/lib/systemd/pstore, /sys/fs/pstore, the archives of pstorefs-archive@.service and the backends of ' +
  'the config file are looked at. Of an archive from another machine the host is named, too. Crashes of one fingerprint, or without one of one title, are the same. `show` takes the number or the name. The exit code ' +
  'is 1 where there is none.'

export const withWhere = <T>(argv: Argv<T>): Argv<T & WhereArgs> => withConfig(withParameters(argv))

export const list: CommandModule<object, Args> = {
  command: 'list [where..]',
  describe: 'list crashes: when, where, what, how often',
  builder: argv =>
    withWhere(argv)
      .usage(`$0 list [WHERE…] [options]\n\n${details}`)
      .positional('where', {
        type: 'string',
        array: true,
        default: [] as string[],
        defaultDescription: 'all that this machine keeps',
        describe: 'an archive, a folder of records, a mount, a source',
      })
      .option('n', {
        type: 'string',
        requiresArg: true,
        coerce: Number,
        describe: 'at most N crashes',
      })
      .option('1', { type: 'boolean', default: false, describe: 'the newest alone' })
      .option('since', {
        type: 'string',
        requiresArg: true,
        coerce: parseWhen,
        describe: '2026-11-23, today, 2h, @0',
      })
      .option('until', {
        type: 'string',
        requiresArg: true,
        coerce: parseWhen,
        describe: 'the same',
      })
      .option('grep', {
        type: 'string',
        requiresArg: true,
        describe: 'those whose title or cause matches a regular expression',
      })
      .option('backend', {
        type: 'string',
        array: true,
        nargs: 1,
        coerce: (lists: string[]) => parseBackends(lists.join()),
        describe: 'of these backends: a,b',
      })
      .option('group', {
        type: 'boolean',
        default: false,
        describe: 'a line for each that is the same',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an array' })
      .check(({ n, grep }) =>
        n === undefined || (Number.isInteger(n) && n > 0)
          ? checkExpression('--grep', grep)
          : '-n: give a number from 1',
      )
      .example('$0 list', 'what this machine has kept')
      .example('$0 list /var/lib/crashes --since 7d --group', ''),
  handler: args => {
    const looked = lookIn(args.where, args, parametersOf({ ...args }))
    try {
      const rows = chosen(numbered(looked.crashes), args)
      if (rows.length === 0) {
        const all = looked.crashes.length
        tell(
          all > 0
            ? `none of ${all} crashes is like that`
            : `no crash in ${looked.places.join(', ') || 'any usual place'}`,
        )
        process.exitCode = noneExit
      }
      if (args.json)
        printJson(
          jsonArray<unknown>(
            args.group ? grouped(rows).map(groupJson) : rows.map(row => toJson(row, row.seen)),
          ),
        )
      else print(table(args.group ? grouped(rows).map(groupRow) : rows.map(toRow), [0, 3], look()))
    } finally {
      looked.close()
    }
  },
}

/** A crash of a list. */
interface Numbered extends Kept {
  /** From 1, the newest. */
  readonly number: number
  /** How many crashes are the same. */
  readonly seen: number
}

/** What crashes that are the same have in common; null where a crash does not tell what it was. */
const sameness = ({ fingerprint, title, cause }: Kept): string | null =>
  fingerprint ?? title ?? cause

const numbered = (crashes: readonly Kept[]): Numbered[] => {
  const counts = new Map<string, number>()
  for (const crash of crashes) {
    const key = sameness(crash)
    if (key !== null) counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return crashes.map((crash, i) => {
    const key = sameness(crash)
    return { ...crash, number: i + 1, seen: key === null ? 1 : counts.get(key)! }
  })
}

const chosen = (crashes: readonly Numbered[], args: Args): Numbered[] => {
  const { since = -Infinity, until = Infinity } = args
  const backends = args.backend === undefined ? null : [args.backend].flat()
  const pattern = args.grep === undefined ? null : new Expression('--grep', args.grep)
  const isTimed = args.since !== undefined || args.until !== undefined
  const found = crashes.filter(({ time, backend, title, cause }) => {
    const at = time ? Number(time.sec) * 1000 + time.nsec / 1e6 : null
    return (
      (at === null ? !isTimed : at >= since && at <= until) &&
      (backends === null || backends.includes('all') || backends.includes(backend)) &&
      (pattern === null || pattern.test([title ?? '', cause ?? '']).includes(true))
    )
  })
  const most = args[1] ? 1 : args.n
  return most === undefined ? found : found.slice(0, most)
}

/** Which machine crashed: the backend, and the host that archived it where that is another one. */
const placeOf = ({ backend, host }: Kept): string =>
  host === null ? backend : `${host}:${backend}`

const toRow = (crash: Numbered): string[] => {
  const more = [
    crash.missing,
    crash.pending ? `unfinished: run archive ${crash.source} again` : null,
  ].filter(text => text !== null)
  return [
    `${crash.number}`,
    when(crash.time),
    oneLine(placeOf(crash)),
    `${crash.seen}x`,
    oneLine(`${describeCrash(crash)}${more.length > 0 ? ` (${more.join('; ')})` : ''}`),
  ]
}

/** The list on a terminal: what is unfinished, or has lost a part, stands out. */
const look = (): Look => ({
  header: ['', timeColumn(), 'backend', 'seen', 'what'],
  styleOf: ([, , , , what = '']) =>
    /\((?:.*; )?unfinished: |\bmissing\b/.test(what) ? 'yellow' : null,
})

/** How many of some crashes are the same as one of them. */
export const countOf = (crash: Kept, all: readonly Kept[]): number => {
  const key = sameness(crash)
  return key === null ? 1 : all.filter(other => sameness(other) === key).length
}

/**
 * A crash as `--json` has it.
 *
 * @param count how many are the same
 */
export const toJson = (crash: Numbered | Kept, count: number) => {
  const { look: _, time, ...facts } = crash
  return { id: facts.name, ...facts, count, time: time && printTime(time) }
}

/** Crashes that are the same, the newest first. */
type Group = readonly Numbered[]

const grouped = (crashes: readonly Numbered[]): Group[] => {
  const groups = new Map<string, Numbered[]>()
  for (const crash of crashes) {
    const key = sameness(crash) ?? `${crash.number}`
    const group = groups.get(key)
    if (group) group.push(crash)
    else groups.set(key, [crash])
  }
  return [...groups.values()].toSorted((a, b) => b.length - a.length)
}

const distinct = (all: readonly (string | null)[]): string[] => [
  ...new Set(all.filter(one => one !== null)),
]

const groupRow = (group: Group): string[] => {
  const newest = group[0]!
  const [first, ...more] = distinct(group.map(placeOf))
  return [
    `${newest.number}`,
    when(newest.time),
    oneLine(`${first}${more.length > 0 ? `+${more.length}` : ''}`),
    `${group.length}x`,
    oneLine(describeCrash(newest)),
  ]
}

const groupJson = (group: Group) => {
  const [newest, oldest] = [group[0]!, group.at(-1)!]
  const { title, cause, fingerprint } = newest
  return {
    title,
    cause,
    fingerprint,
    count: group.length,
    first: oldest.time && printTime(oldest.time),
    last: newest.time && printTime(newest.time),
    backends: distinct(group.map(({ backend }) => backend)),
    hosts: distinct(group.map(({ host }) => host)),
    newest: newest.name,
  }
}
