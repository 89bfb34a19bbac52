/** `pstorefs show`: the story of a crash: what it was, where, when, and the lines around it. */
import fs from 'node:fs'
import { styleText } from 'node:util'
import type { CommandModule } from 'yargs'
import { parseSource } from '../../attach.js'
import { nameAddresses, type FunctionNames } from '../../crash/addresses.js'
import { clockOf } from '../../crash/clock.js'
import { describeCrash, diagnose, type Diagnosis } from '../../crash/diagnosis.js'
import { goesOnAfter, type Crash } from '../../crash/grouping.js'
import { linesAfter, linesOfLife } from '../../crash/lives.js'
import { isReadable, storyLines, storyOf, type Story, type StoryLine } from '../../crash/story.js'
import { textOfAll } from '../../crash/text.js'
import { bootOf, timelineOf, type TimedLine, type Timeline } from '../../crash/timeline.js'
import { AndroidLog } from '../../decoders/android.js'
import { FrameNames } from '../../decoders/frame-names.js'
import { loadSymbols } from '../../decoders/kallsyms.js'
import type { StoredRecord } from '../../pstore/backend.js'
import { standardInput } from '../../native/stdin.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import { withoutControls } from '../../pstore/printable.js'
import { tell } from '../../service/log.js'
import { lookIn, textOfCrash, unreadableExit, type Kept, type WhereArgs } from '../options/kept.js'
import { levels } from '../options/levels.js'
import { isPattern, matchesPattern } from '../options/name-patterns.js'
import { parametersOf } from '../options/parameters.js'
import { findConfig, maybeName } from '../options/source.js'
import { json, printLine } from '../show/output.js'
import { page } from '../show/pager.js'
import { hasColours } from '../show/colours.js'
import { when, whenAndZone } from '../show/time.js'
import { countOf, toJson, withWhere } from './list.js'

interface Args extends WhereArgs {
  where: string | undefined
  crash: string | undefined
  full: boolean
  json: boolean
  T: boolean
  level: string | undefined
  timeline: boolean
}

/** Lines before a report. */
const before = 8
/** Lines of a report, unless all are wanted. */
const mostOfReport = 60
/** The last lines of the console, pmsg and a terminal. */
const last = 10

const details =
  'Prints what is known of a crash, the newest without a number or name: its title, fingerprint, time, kernel, machine, ' +
  'and the report with the frame to blame marked by >, the lines before it, what the console printed after it, and ' +
  'the last lines of pmsg and terminals. WHERE is as for `list`, which gives the numbers. What is not of the ' +
  "crash's own life of the machine is left out. On a terminal, lines have the colours of their levels, and $PAGER shows them."

export const show: CommandModule<object, Args> = {
  command: 'show [where] [crash]',
  describe: "print a crash's story: title, trace, the lines around it",
  builder: argv =>
    withWhere(argv)
      .usage(`$0 show [WHERE] [CRASH] [options]\n\n${details}`)
      .positional('where', {
        type: 'string',
        describe: 'an archive, a folder of records, a mount, a source',
      })
      .positional('crash', {
        type: 'string',
        describe: "a number or a name of `list`; of a pattern ('*panic*') the newest",
      })
      .option('full', {
        type: 'boolean',
        default: false,
        describe: 'all lines of the dump, and of the rings',
      })
      .option('timeline', {
        type: 'boolean',
        default: false,
        describe: 'all lines of the dump, the console, pmsg and terminals, by time',
      })
      .option('T', {
        type: 'boolean',
        default: false,
        describe: "lines with the clock's time, as dmesg -T",
      })
      .option('level', {
        type: 'string',
        requiresArg: true,
        describe: `lines of this level and worse alone: ${levels.join(', ')}`,
      })
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an object' })
      .check(
        ({ level }) =>
          level === undefined ||
          levels.some(known => known === level) ||
          `--level: ${level}: is none of ${levels.join(', ')}`,
      )
      .example('$0 show', 'the newest crash of this machine')
      .example('$0 show /var/lib/crashes 3 --full', '')
      .example('$0 show --timeline -T', 'all of the newest crash, by the clock on the wall'),
  handler: args => {
    const { where, crash } = placeOf(args)
    const { kallsyms, ...layout } = parametersOf({ ...args })
    const names = kallsyms === undefined ? null : new FrameNames(loadSymbols(kallsyms))
    // No store has to know it: what it shows of ftrace is not printed here.
    const looked = lookIn(where === undefined ? [] : [where], args, layout)
    try {
      const kept = find(looked.crashes, crash, looked.places, where === undefined)
      kept.look(found => {
        const told = tellOf(kept, found, names)
        const known = told.diagnosis ? namedAs(kept, told.diagnosis) : kept
        if (args.json)
          printLine(json(toJsonStory(known, found, told, args, countOf(kept, looked.crashes))))
        else page(render(known, told, args))
      })
    } finally {
      looked.close()
    }
  },
}

/** A crash, as it is known once its addresses have names. */
const namedAs = (kept: Kept, { kind, title, cause, fingerprint }: Diagnosis): Kept => ({
  ...kept,
  kind,
  title,
  cause,
  fingerprint,
})

/** A single argument is a place where there is such a one. */
const placeOf = ({ where, crash, config }: Args): Pick<Args, 'where' | 'crash'> => {
  if (where === undefined || crash !== undefined) return { where, crash }
  const { path } = parseSource(where)
  const isConfigured = (): boolean =>
    maybeName(where) && (findConfig(config)?.backends.some(({ name }) => name === where) ?? false)
  const isPlace =
    path === standardInput || where.includes('/') || fs.existsSync(path) || isConfigured()
  return isPlace ? { where, crash } : { where: undefined, crash: where }
}

const find = (
  crashes: readonly Kept[],
  wanted: string | undefined,
  places: readonly string[],
  isAlone: boolean,
): Kept => {
  const where = places.join(', ') || 'any usual place'
  const number = wanted === undefined ? 1 : /^\d{1,9}$/.test(wanted) ? Number(wanted) : null
  // A word alone may be a misspelt file.
  const noFile =
    isAlone && number === null && !isPattern(wanted!) ? `${wanted}: no such file, and ` : ''
  if (crashes.length === 0) throw new StoreError(`${noFile}no crash in ${where}`, 'ENOENT')
  if (number !== null) {
    const found = crashes[number - 1]
    if (found) return found
    throw new StoreError(
      `${wanted}: no such crash in ${where}, which has ${crashes.length}`,
      'ENOENT',
    )
  }
  const found =
    crashes.find(({ name }) => name === wanted) ??
    crashes.find(({ name }) => isPattern(wanted!) && matchesPattern(wanted!, name))
  if (found) return found
  const { name } = crashes[0]!
  throw new StoreError(
    `${noFile || `${wanted}: `}no such crash in ${where}; the newest is ${name} (see pstorefs list)`,
    'ENOENT',
  )
}

/** What is told of a crash. */
interface Told {
  readonly story: Story
  /** Where addresses were named: what is known by that. */
  readonly diagnosis: Diagnosis | null
  readonly timeline: () => Timeline
  /** What the console printed in the same life after the dump. */
  readonly console: readonly StoryLine[]
  /** The other rings that are text, and their lines. */
  readonly rings: readonly { readonly name: string; readonly lines: readonly StoryLine[] }[]
  /** Rings that are no text. */
  readonly binary: readonly string[]
  /** Rings of another life of the machine. */
  readonly others: readonly string[]
}

const open = (record: StoredRecord) => record.open()

/** Lines of what can be read: one ring that cannot hides nothing else. */
const linesIn = (name: string, text: () => Buffer): StoryLine[] => {
  try {
    return storyLines(text())
  } catch (error) {
    assertStoreError(error)
    tell(`${error.message}: ${name} is left out`)
    process.exitCode = unreadableExit
    return []
  }
}

const tellOf = ({ time: stored }: Kept, crash: Crash, names: FunctionNames | null): Told => {
  const { after } = crash
  const said = textOfCrash(crash)
  const consoles = crash.rings.filter(({ type }) => type === 'console')
  const hasDump = crash.dumps.length > 0
  const log = hasDump ? linesIn('the console', () => textOfAll(consoles, open)) : []
  const goesOn = goesOnAfter(crash.reason)
  const own = linesOfLife(storyLines(said), log, goesOn)
  const offsets = Buffer.from([...own.map(({ line }) => line), said.toString('latin1')].join('\n'))
  const named = names && nameAddresses(said, names, offsets)
  if (named?.doubt) tell(`--kallsyms: ${named.doubt}`)
  const text = named?.text ?? said
  const story = storyOf(text, after)
  const end = clockOf(story.lines)?.last
  const console = end === undefined ? own : linesAfter(own, end)
  const written = crash.rings.filter(({ type }) => type === 'pmsg' || type === 'tty')
  const binary = crash.rings.filter(({ type }) => type === 'ftrace').map(({ name }) => name)
  const rings = written.flatMap(record => {
    const { name } = record
    const lines = linesIn(name, () => ringText(record))
    if (isReadable(lines)) return [{ name, lines }]
    binary.push(name)
    return []
  })
  const kernel = [
    { origin: hasDump ? 'dmesg' : 'console', lines: story.lines },
    { origin: 'console', lines: own },
  ]
  const others = rings.map(({ name, lines }) => ({ origin: name, lines }))
  return {
    story,
    diagnosis: named?.count ? diagnose(text, after) : null,
    timeline: () => timelineOf(kernel, others, stored, goesOn),
    console,
    rings,
    binary,
    others: crash.others,
  }
}

/** A ring's text; Android's log as logcat prints it. */
const ringText = (record: StoredRecord): Buffer => {
  const bytes = textOfAll([record], open)
  if (record.type !== 'pmsg') return bytes
  const log = new AndroidLog()
  const text = log.decode(bytes)
  return log.count > 0 && log.skipped < bytes.length / 2 ? text : bytes
}

/** printk's stamp. */
const stamp = /^\[ *\d{1,9}\.\d{1,9}\]/
/** Columns of one. */
const stampWidth = '[   12.345678]'.length

/** The lines of a level and worse; those that do not tell theirs, too. */
const ofLevel = <L extends StoryLine>(lines: readonly L[], { level: worst }: Args): L[] => {
  const most = worst === undefined ? 7 : levels.findIndex(known => known === worst)
  return lines.filter(({ level }) => level === null || level <= most)
}

/** Prints lines as the options want them. */
class Printer {
  readonly #boot: number | null
  readonly #colour: boolean

  constructor(
    readonly args: Args,
    boot: number | null,
  ) {
    this.#boot = args.T ? boot : null
    this.#colour = hasColours()
  }

  /** The lines that are wanted. */
  wanted<L extends StoryLine>(lines: readonly L[]): L[] {
    return ofLevel(lines, this.args)
  }

  /** What the times are that are printed. */
  get clock(): string {
    return this.#boot === null ? 'in seconds since boot' : 'by the clock on the wall'
  }

  /** A time in seconds since boot; null where it is printed as it is. */
  #wall(time: number): string | null {
    if (this.#boot === null) return null
    const ms = this.#boot + time * 1000
    return `[${when({ sec: BigInt(Math.floor(ms / 1000)), nsec: 0 })}]`
  }

  line(line: StoryLine): string {
    const wall = line.time === null ? null : this.#wall(line.time)
    return this.#marked(line, wall === null ? line.line : line.line.replace(stamp, wall))
  }

  /** A line of a timeline, with its time and its origin, whose columns are `width` wide. */
  timed(line: TimedLine, width: number): string {
    const { at, isTimed, origin } = line
    const seconds = `[${at.toFixed(6).padStart(stampWidth - 2)}]`
    const time = this.#wall(at) ?? seconds
    const text = line.line.replace(stamp, '').replace(/^ /, '')
    const shown = isTimed ? time : ' '.repeat(time.length)
    return this.#marked(line, `${shown} ${origin.padEnd(width)}  ${text}`)
  }

  #marked({ level, guilty }: StoryLine, text: string): string {
    const marked = `${guilty ? '>' : ' '} ${withoutControls(text)}`
    if (guilty) return `${this.#styled('yellow', marked)}\n`
    return `${level !== null && level <= 3 ? this.#styled('red', marked) : marked}\n`
  }

  heading(text: string): string {
    return `\n${this.#styled('bold', withoutControls(text))}\n`
  }

  #styled(style: 'bold' | 'red' | 'yellow', text: string): string {
    return this.#colour ? styleText(style, text, { validateStream: false }) : text
  }
}

const render = (kept: Kept, told: Told, args: Args): string => {
  const { story, binary, others } = told
  const print = new Printer(args, bootOf(kept.time, story.lines))
  const out: string[] = [`${print.heading(describeCrash(kept)).slice(1)}`]
  for (const [name, value] of factsOf(kept, story))
    out.push(`${name.padEnd(13)}${withoutControls(value)}\n`)
  out.push(...(args.timeline ? byTime(print, told) : byRecord(print, told, args)))
  if (binary.length > 0) out.push(print.heading(`also ${binary.join(', ')}: pstorefs cat`))
  if (others.length > 0)
    out.push(print.heading(`left out: ${others.join(', ')}: of another life of the machine`))
  return out.join('')
}

/** The report and what is around it, record by record. */
const byRecord = (print: Printer, { story, console, rings }: Told, { full }: Args): string[] => {
  const { report, lines, start, end } = story
  const out: string[] = []
  const some = (title: string, all: readonly StoryLine[], shown: readonly StoryLine[]): void => {
    const wanted = print.wanted(shown)
    if (wanted.length === 0) return
    const left = all.length - shown.length
    out.push(print.heading(left > 0 ? `${title} (${left} more lines: --full)` : title))
    for (const line of wanted) out.push(print.line(line))
  }
  if (full) some('all of it', lines, lines)
  else if (report) {
    const ahead = lines.slice(Math.max(0, start - before), start)
    some('before', ahead, ahead)
    const told = lines.slice(start, end)
    some('report', told, told.slice(0, mostOfReport))
  } else some('last lines', lines, lines.slice(-2 * last))
  some('console, after the dump', console, full ? console : console.slice(-last))
  for (const ring of rings) some(ring.name, ring.lines, full ? ring.lines : ring.lines.slice(-last))
  return out
}

/** All lines by time, and behind them those that have no place among these. */
const byTime = (print: Printer, told: Told): string[] => {
  const { lines, unplaced } = told.timeline()
  const wanted = print.wanted(lines)
  const width = wanted.reduce((most, { origin }) => Math.max(most, origin.length), 0)
  const out = wanted.length > 0 ? [print.heading(`timeline, ${print.clock}`)] : []
  for (const line of wanted) out.push(print.timed(line, width))
  for (const { origin, lines: left } of unplaced) {
    const some = print.wanted(left)
    if (some.length > 0) out.push(print.heading(`${origin}: nothing tells when on that clock`))
    for (const line of some) out.push(print.line(line))
  }
  return out
}

const factsOf = (
  kept: Kept,
  { report, earlier, lines }: Story,
): [name: string, value: string][] => {
  const uptime = report?.uptime ?? clockOf(lines)?.last
  const ran = [
    report?.command ?? '',
    report?.pid == null ? '' : `PID ${report.pid}`,
    report?.cpu == null ? '' : `CPU ${report.cpu}`,
  ].filter(Boolean)
  const facts: [name: string, value: string | null | undefined][] = [
    ['crash', `${kept.name} in ${kept.where}`],
    ['backend', kept.backend],
    ['host', kept.host],
    ['when', `${whenAndZone(kept.time)}${uptime === undefined ? '' : `, ${uptime} s after boot`}`],
    ['cause', report && report.headline !== describeCrash(kept) ? report.headline : null],
    ['kernel', report?.kernel ?? kept.kernel],
    ['hardware', report?.hardware],
    ['ran', ran.join(', ') || null],
    ['taint', report?.taint || null],
    ['fingerprint', kept.fingerprint],
    ['missing', kept.missing],
    ['unfinished', kept.pending ? `run archive ${kept.source} again` : null],
    ['earlier', earlier && `the log before has the report of another crash: ${earlier.title}`],
  ]
  return facts.flatMap(([name, value]): [string, string][] => (value ? [[name, value]] : []))
}

const timelineJson = (boot: number | null, { lines, unplaced }: Timeline, args: Args) => ({
  boot: boot === null ? null : boot / 1000,
  lines: ofLevel(lines, args).map(({ at, origin, line }) => ({ time: at, origin, line })),
  unplaced: unplaced.flatMap(({ origin, lines: left }) =>
    ofLevel(left, args).map(({ line }) => ({ origin, line })),
  ),
})

const toJsonStory = (kept: Kept, crash: Crash, told: Told, args: Args, count: number) => {
  const { full, timeline } = args
  const { story, console, rings } = told
  const text = (lines: readonly StoryLine[]): string[] =>
    ofLevel(lines, args).map(({ line }) => line)
  const { report, earlier, lines, start, end } = story
  return {
    ...toJson(kept, count),
    // An archive of an earlier version does not say it.
    kind: report?.kind ?? null,
    uptime: report?.uptime ?? null,
    cpu: report?.cpu ?? null,
    comm: report?.command ?? null,
    pid: report?.pid ?? null,
    hardware: report?.hardware ?? null,
    taint: report?.taint ?? null,
    trace: (report?.traces[0]?.frames ?? []).map(({ name }) => name),
    parts: crash.dumps.length,
    text: text(lines).join('\n'),
    report,
    earlier,
    others: crash.others,
    lines: text(full ? lines : lines.slice(Math.max(0, start - before), end)),
    console: text(console),
    rings: Object.fromEntries(rings.map(({ name, lines: of }) => [name, text(of)])),
    ...(timeline
      ? { timeline: timelineJson(bootOf(kept.time, lines), told.timeline(), args) }
      : {}),
  }
}
