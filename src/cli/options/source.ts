/** SOURCE in a command: `[DRIVER:]PATH`, or the name of a backend in the config file. */
import fs from 'node:fs'
import type { Argv } from 'yargs'
import {
  attach,
  backendName,
  driverNames,
  findDriver,
  parseSource,
  sourceOf,
  type AttachOptions,
} from '../../attach.js'
import type { Backend } from '../../pstore/backend.js'
import { standardInput } from '../../native/stdin.js'
import { StoreError } from '../../pstore/errors.js'
import type { Failure } from '../../pstore/select.js'
import { attachSelected } from '../../service/attached.js'
import { allDoubtsOf } from '../../service/doubts.js'
import { tell } from '../../service/log.js'
import type { BackendChoice, SourceCandidate } from '../../service/plan.js'
import { defaultConfig, loadConfig, type Config } from './config.js'
import { parseBackends } from './mount-options.js'
import { parametersOf, withParameters } from './parameters.js'
import { progressBar } from '../show/progress.js'

export interface SourceArgs {
  source: string
  config: string | undefined
}

export const sourceHelp = '[DRIVER:]PATH, -, or the name of a backend in the config file'

/** Offer `--config` on a command. */
export const withConfig = <T>(argv: Argv<T>): Argv<T & { config: string | undefined }> =>
  argv.option('config', {
    type: 'string',
    requiresArg: true,
    describe: `the config file [${defaultConfig}]`,
  })

/** Offer SOURCE and the options that describe it. */
export const withSource = <T>(argv: Argv<T>): Argv<T & SourceArgs> =>
  withConfig(withParameters(argv)).positional('source', {
    type: 'string',
    demandOption: true,
    describe: sourceHelp,
  })

/** The named config file; without a name the usual one, if it exists. */
export const findConfig = (file: string | undefined): Config | null =>
  file !== undefined || fs.existsSync(defaultConfig) ? loadConfig(file ?? defaultConfig) : null

/**
 * The same for a word that may be a configured name. Where it is a file, the usual config file is not needed: that it
 * cannot be read is told.
 */
export const configFor = (word: string, file: string | undefined): Config | null => {
  try {
    return findConfig(file)
  } catch (error) {
    if (!(error instanceof StoreError) || file !== undefined || !fs.existsSync(word)) throw error
    tell(`${error.message}: left out, as ${word} is a file`)
    return null
  }
}

/** Whether SOURCE could be a configured name: not where it has a slash or a driver. */
export const maybeName = (source: string): boolean =>
  !source.includes('/') && parseSource(source).path === source

/** Let options of the command line win over the configured ones. */
export const withOptions = (
  candidate: SourceCandidate,
  options: AttachOptions,
): SourceCandidate => ({ ...candidate, options: { ...candidate.options, ...options } })

/**
 * The backend that a SOURCE means.
 *
 * @param config the config file that the command line names
 * @param found what it says, or the usual one, where that was read already
 * @throws StoreError where SOURCE is neither a backend of the named config file nor a file
 */
export const findSource = (
  source: string,
  config: string | undefined,
  options: AttachOptions,
  found?: Config | null,
): SourceCandidate => {
  if (maybeName(source)) {
    if (found === undefined) found = configFor(source, config)
    const configured = found?.backends.find(({ name }) => name === source)
    if (configured) return withOptions(configured, options)
    if (config !== undefined && source !== standardInput && !fs.existsSync(source))
      throw new StoreError(`${source}: neither a file nor a backend of ${config}`, 'ENOENT')
  }
  // Its name is in files' names, so it has to be known before it is attached.
  const { driver: given, path } = parseSource(source)
  const driver = given ?? findDriver(path, options)
  const isSaid = given !== null || driver === driverNames[0]
  return { name: backendName(driver), source: isSaid ? source : sourceOf(driver, path), options }
}

interface BackendArgs {
  backend: NonNullable<BackendChoice> | undefined
}

/** Offer `--backend`, which replaces SOURCE. */
export const withBackend = <T>(argv: Argv<T>): Argv<T & BackendArgs> =>
  argv.option('backend', {
    type: 'string',
    array: true,
    nargs: 1,
    coerce: (lists: string[]) => parseBackends(lists.join()),
    describe: 'configured backends: all, or names: a,b [the first that attaches]',
  })

export interface SourcesArgs extends Omit<SourceArgs, 'source'>, BackendArgs {
  source: string | undefined
}

/** Offer SOURCE, or several of the config file's backends. The command checks that one of them is given. */
export const maybeSources = <T>(argv: Argv<T>): Argv<T & SourcesArgs> =>
  withBackend(withConfig(withParameters(argv))).positional('source', {
    type: 'string',
    describe: `${sourceHelp}; or give --backend`,
  })

/** Offer `--force` on a command that writes. */
export const withForce = <T>(argv: Argv<T>): Argv<T & { force: boolean }> =>
  argv.option('force', {
    type: 'boolean',
    default: false,
    describe: 'write also where the layout is not that of the bytes',
  })

/** Require either SOURCE or several of the config file's backends. */
export const withSources = <T>(argv: Argv<T>): Argv<T & SourcesArgs> =>
  maybeSources(argv).check(({ source, backend }) => {
    if (source !== undefined && backend !== undefined) return 'Give SOURCE or --backend, not both'
    return source !== undefined || backend !== undefined || 'Give SOURCE or --backend'
  })

/**
 * Attach SOURCE, or the configured backends that `--backend` names.
 *
 * @param given mapped by default, which suits commands that append a lot
 * @param told reports those of `--backend all` that cannot be attached
 * @param attach attaches one of them
 * @throws StoreError as `backend=` of a mount does; nothing stays open
 */
export const attachSources = (
  args: SourcesArgs & { force?: boolean },
  given: Pick<AttachOptions, 'readOnly' | 'map'> = { readOnly: false, map: true },
  told?: (failures: readonly Failure[]) => void,
  attach: typeof attachCandidate = attachCandidate,
): Backend[] => {
  const how = { ...given, ...(args.force ? { force: true } : {}) }
  const parameters = parametersOf({ ...args })
  const attachOne = (candidate: SourceCandidate): Backend => attach(candidate, how)
  if (args.source !== undefined)
    return [attachOne(findSource(args.source, args.config, parameters))]
  return attachSelected(configured(args), args.backend ?? null, attachOne, told)
}

/**
 * The config file's backends, with the parameters among a command's arguments.
 *
 * @throws StoreError where there is no config file
 */
export const configured = (args: SourcesArgs): SourceCandidate[] => {
  const config = findConfig(args.config)
  if (!config) throw new StoreError(`${defaultConfig}: no such file; name another with --config`)
  return config.backends.map(candidate => withOptions(candidate, parametersOf({ ...args })))
}

/** Refuse standard input for a command that writes. */
export const refuseStandardInput = (source: string): void => {
  if (parseSource(source).path === standardInput)
    throw new StoreError(
      `${source}: is standard input, which can only be read: name a file`,
      'EROFS',
    )
}

/**
 * Attach a command's SOURCE, with the parameters among its arguments: what speaks against the layout is told, or why
 * there is nothing.
 */
export const attachToRead = (
  args: SourceArgs,
  how: Pick<AttachOptions, 'readOnly' | 'map'> = { readOnly: true },
): Backend => {
  const candidate = findSource(args.source, args.config, parametersOf({ ...args }))
  const backend = attachCandidate(candidate, how)
  for (const line of allDoubtsOf(backend)) tell(line)
  return backend
}

/** Attach, and show the progress of a search for a region. */
export const attachCandidate = (
  { name, source, options }: SourceCandidate,
  how: Pick<AttachOptions, 'readOnly' | 'map' | 'force'>,
): Backend => {
  if (!how.readOnly) refuseStandardInput(source)
  const bar = progressBar('searching for a region')
  try {
    return attach(source, { ...options, name, ...how, report: tell, progress: bar.show })
  } finally {
    bar.clear()
  }
}
