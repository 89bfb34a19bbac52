/** Several sources in one command: those that it names, or backends of the config file. */
import type { Argv } from 'yargs'
import type { AttachOptions } from '../../attach.js'
import type { Backend } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import { withoutControls } from '../../pstore/printable.js'
import { chosen } from '../../pstore/select.js'
import { allDoubtsOf } from '../../service/doubts.js'
import { tell } from '../../service/log.js'
import type { BackendChoice, SourceCandidate } from '../../service/plan.js'
import { parametersOf, withParameters } from './parameters.js'
import {
  attachCandidate,
  configured,
  findSource,
  sourceHelp,
  withBackend,
  withConfig,
} from './source.js'

export interface SeveralArgs {
  sources: string[]
  config: string | undefined
  backend: NonNullable<BackendChoice> | undefined
}

/** The exit code where one of several cannot be shown. */
const failedExit = 1

/** Offer several SOURCES, or `--backend`, on a command that shows what is in them. */
export const withSeveral = <T>(argv: Argv<T>, command: string): Argv<T & SeveralArgs> =>
  withBackend(withConfig(withParameters(argv)))
    .positional('sources', {
      type: 'string',
      array: true,
      default: [] as string[],
      defaultDescription: 'those of --backend',
      describe: sourceHelp,
    })
    .check(({ sources, backend }) => {
      if (sources.length > 0 && backend !== undefined) return 'Give SOURCE or --backend, not both'
      const isGiven = sources.length > 0 || backend !== undefined
      return isGiven || `${command}: SOURCE is missing, e.g. pstorefs ${command} region.img`
    })

/** One of several. */
export interface Place {
  /** As its user names it. */
  readonly shown: string
  /** Throws where there is no such source. */
  find(): SourceCandidate
}

/** @throws StoreError where `--backend` names what is not configured */
export const placesOf = (args: SeveralArgs): Place[] => {
  if (args.backend === undefined)
    return args.sources.map(shown => ({
      shown,
      find: () => findSource(shown, args.config, parametersOf({ ...args })),
    }))
  const candidates = configured({ ...args, source: undefined })
  return chosen(candidates, [args.backend].flat().join()).map(candidate => ({
    shown: candidate.name,
    find: () => candidate,
  }))
}

/** Tell that one of several failed: the others are shown. */
export const tellFailed = ({ shown }: Place, error: unknown): void => {
  if (!(error instanceof StoreError)) throw error
  tell(error.message.startsWith(`${shown}: `) ? error.message : `${shown}: ${error.message}`)
  process.exitCode = failedExit
}

/** A source that is looked at. */
export interface Opened {
  readonly backend: Backend
  readonly shown: string
  /** Whether what speaks against its layout, or that it is unused, was told. */
  readonly isDoubted: boolean
}

/**
 * What is found in each of several sources, one after the other. One that cannot be attached or read is told, and
 * keeps none of the others; of a single one it is an error.
 *
 * @param how doubts: whether what speaks against a layout is told
 */
export function* fromEach<T>(
  places: readonly Place[],
  look: (opened: Opened) => Iterable<T>,
  { doubts = true }: { doubts?: boolean } = {},
): Generator<T, void, void> {
  const how: AttachOptions = { readOnly: true }
  for (const place of places)
    try {
      const backend = attachCandidate(place.find(), how)
      try {
        const told = doubts ? allDoubtsOf(backend) : []
        for (const line of told) tell(line)
        yield* look({ backend, shown: place.shown, isDoubted: told.length > 0 })
      } finally {
        backend.close()
      }
    } catch (error) {
      if (places.length === 1) throw error
      tellFailed(place, error)
    }
}

/** What precedes the text of one of several, as head(1) and tail(1) have it. */
export const heading = (places: readonly Place[], shown: string): string => {
  if (places.length === 1) return ''
  const before = shown === places[0]!.shown ? '' : '\n'
  return `${before}==> ${withoutControls(shown)} <==\n`
}
