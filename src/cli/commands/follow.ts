/** `pstorefs follow`: print a ring's bytes, then each addition, as `tail -f` does. */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CommandModule } from 'yargs'
import { parseSource } from '../../attach.js'
import { hasReader } from '../../native/reader.js'
import { dieOf } from '../../native/signals.js'
import { pauseAfter, shortestPause } from '../../pstore/follower.js'
import { recordTypes } from '../../pstore/types.js'
import type { BackendChoice } from '../../service/plan.js'
import { checkExpression, Expression } from '../options/expression.js'
import { isPattern } from '../options/name-patterns.js'
import { namesHelp } from '../options/named-records.js'
import { withParameters } from '../options/parameters.js'
import { parseSeconds } from '../options/seconds.js'
import { placesOf, tellFailed, type Place } from '../options/several.js'
import { findConfig, maybeName, sourceHelp, withBackend, withConfig } from '../options/source.js'
import { FollowedSource, type HowFollowed } from '../show/followed.js'
import { Output } from '../show/printer.js'

interface Args {
  source: string | undefined
  names: string[]
  config: string | undefined
  backend: NonNullable<BackendChoice> | undefined
  'no-history': boolean
  android: boolean
  grep: string | undefined
  until: string | undefined
  timeout: number | undefined
}

/** Milliseconds after which what was there at first has been believed, and printed: --timeout 0 prints that. */
const settled = 600

/** The exit code where --until was not seen in time, as timeout(1) has it. */
const timedOut = 124

const details =
  'Prints the content of a ring (a zone of console, pmsg or tty), and then each addition, until a signal ' +
  'ends it, or nobody reads it any more. An empty ring can be followed, too. Also works while the machine ' +
  '(e.g. a guest) is running. A line on stderr tells where the ring was erased, or was written faster than ' +
  'it is read, and where its file was replaced by another one, which then is followed. Further SOURCES may follow the ' +
  'first; with --backend all words are names. Exit codes: 0 --until was seen, or the time is over and it was not ' +
  'asked for; 1 a source failed; 124 --until was not seen within --timeout.'

export const follow: CommandModule<object, Args> = {
  command: 'follow [source] [names..]',
  describe: 'print a ring, then each addition to it',
  builder: argv =>
    withBackend(withConfig(withParameters(argv)))
      .usage(
        `$0 follow SOURCE… NAME… [options]\n$0 follow --backend NAMES NAME… [options]\n\n${details}`,
      )
      .positional('source', { type: 'string', describe: sourceHelp })
      .positional('names', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: namesHelp,
      })
      .option('no-history', {
        type: 'boolean',
        default: false,
        describe: 'print only what is appended from now on, without the old content',
      })
      .option('android', {
        type: 'boolean',
        default: false,
        describe: "print Android's binary log in pmsg as logcat does",
      })
      .option('grep', {
        type: 'string',
        requiresArg: true,
        describe: 'print lines alone that match a regular expression',
      })
      .option('until', {
        type: 'string',
        requiresArg: true,
        describe: 'end after the first line that matches a regular expression, and print it',
      })
      .option('timeout', {
        type: 'string',
        requiresArg: true,
        coerce: parseSeconds,
        describe: 'end after so many seconds',
      })
      .check(({ grep, until, timeout, ...args }) => {
        if (timeout !== undefined && !(timeout >= 0)) return '--timeout: give seconds from 0'
        for (const [option, text] of Object.entries({ '--grep': grep, '--until': until })) {
          const problem = checkExpression(option, text)
          if (problem !== true) return problem
        }
        const { sources, names } = wordsOf(args)
        if (sources.length === 0 && args.backend === undefined)
          return 'follow: SOURCE is missing, e.g. pstorefs follow region.img console'
        return (
          names.length > 0 || 'follow: NAME is missing, e.g. pstorefs follow region.img console'
        )
      })
      .example('$0 follow guest.img console --record-size 64K --console-size 256K', '')
      .example("$0 follow guest.img console --until 'login:' --timeout 60", 'wait for a boot')
      .example('$0 follow --config guests.toml --backend all console', '')
      .example('$0 follow --android --no-history guest.img pmsg --preset crosvm', ''),
  handler: async args => {
    const { sources: given, names } = wordsOf(args)
    const places = placesOf({ ...args, sources: given })
    const isOneOfSeveral = places.length > 1
    const how = {
      ...args,
      history: !args['no-history'],
      names,
      grep: args.grep === undefined ? null : new Expression('--grep', args.grep),
      until: args.until === undefined ? null : new Expression('--until', args.until),
      isOneOfSeveral,
    }
    const sources = attachAll(places, how)
    const { timeout = Infinity } = args
    const end = performance.now() + Math.max(settled, timeout * 1000)
    const left = (): number => end - performance.now()
    try {
      for (let first = true, pause = shortestPause; sources.length > 0; first = false) {
        await sleep(Math.min(pause, Math.max(0, left())))
        // Nothing is written to an idle ring's reader that would tell that it has gone.
        if (!hasReader(1)) dieOf('SIGPIPE')
        const isLast = left() <= 0
        let spent = 0
        let hasNews = false
        for (const source of sources.slice())
          try {
            const round = await lookAt(source, first)
            if (round.isEnd) return
            spent += round.spent
            hasNews ||= round.isNews
          } catch (error) {
            if (!isOneOfSeveral) throw error
            tellFailed(source.place, error)
            sources.splice(sources.indexOf(source), 1)
            source.close()
          }
        if (isLast) {
          for (const { printer } of sources.flatMap(({ rings }) => rings))
            if (await printer.end()) return
          if (how.until) process.exitCode = timedOut
          return
        }
        pause = pauseAfter(pause, hasNews, spent)
      }
    } finally {
      for (const source of sources) source.close()
    }
  },
}

/** Could a word be a record's name? */
const isName = (word: string): boolean =>
  !word.includes('/') &&
  (isPattern(word) ||
    /^\d+$/.test(word) ||
    recordTypes.some(type => word === type || word.startsWith(`${type}-`)))

/** Which words are sources, and which are names: the first is a source, where --backend gives none. */
const wordsOf = ({
  source,
  names,
  backend,
  config,
}: Pick<Args, 'source' | 'names' | 'backend' | 'config'>): {
  sources: string[]
  names: string[]
} => {
  const words = source === undefined ? names : [source, ...names]
  if (backend !== undefined) return { sources: [], names: words }
  const isSource = (word: string, i: number): boolean => {
    if (i === 0) return true
    if (isName(word)) return false
    const { driver, path } = parseSource(word)
    if (driver !== null || word.includes('/') || fs.existsSync(path)) return true
    const backends = maybeName(word) ? (findConfig(config)?.backends ?? []) : []
    // One that is missing stands where sources do.
    return backends.some(({ name }) => name === word) || words.slice(i + 1).some(isName)
  }
  const sources = words.filter(isSource)
  return { sources, names: words.filter((word, i) => !isSource(word, i)) }
}

/** Those of several that cannot be followed are told; one alone throws. */
const attachAll = (
  places: readonly Place[],
  how: Omit<HowFollowed, 'output'>,
): FollowedSource[] => {
  const output: Output = new Output(() => sources.flatMap(({ rings }) => rings).length > 1)
  const sources: FollowedSource[] = places.flatMap(place => {
    try {
      return [new FollowedSource(place, { ...how, output })]
    } catch (error) {
      if (!how.isOneOfSeveral) throw error
      tellFailed(place, error)
      return []
    }
  })
  return sources
}

/** Print what has come. `spent`: milliseconds for finding it; `isEnd`: --until was seen. */
const lookAt = async (
  source: FollowedSource,
  first: boolean,
): Promise<{ isEnd: boolean; isNews: boolean; spent: number }> => {
  source.renew()
  let isNews = false
  let spent = 0
  for (const { follower, printer } of source.rings) {
    const begin = performance.now()
    const news = follower.poll(begin)
    spent += performance.now() - begin
    if (first) await printer.introduce()
    if (news) isNews = true
    if (await (news ? printer.print(news) : printer.rest())) return { isEnd: true, isNews, spent }
  }
  return { isEnd: false, isNews, spent }
}
