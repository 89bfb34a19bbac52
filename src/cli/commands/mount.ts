/**
 * `pstorefs mount`, and mount(8)'s form of it: `pstorefs SOURCE MOUNTPOINT -o OPT,…`.
 *
 * Both serve the mount in a process of its own, which goes to the background once the mount answers.
 */
import fs from 'node:fs'
import path from 'node:path'
import type { Argv, CommandModule } from 'yargs'
import { driverNames, findDriver, parseSource } from '../../attach.js'
import { isDaemon, startDaemon } from '../../service/daemon.js'
import { StoreError } from '../../pstore/errors.js'
import type { BackendChoice, MountPlan, MountRequest, SourceCandidate } from '../../service/plan.js'
import { defaultConfig, type Config } from '../options/config.js'
import { parseMountOptions, splitOptions, type GivenOptions } from '../options/mount-options.js'
import { commandNames } from '../command-names.js'
import { isFolder } from '../../native/open.js'
import { standardInput } from '../../native/stdin.js'
import { meant } from '../near.js'
import { parametersOf } from '../options/parameters.js'
import { printLine } from '../show/output.js'
import {
  configFor,
  findConfig,
  findSource,
  maybeName,
  withBackend,
  withOptions,
  withSource,
} from '../options/source.js'

interface Args {
  source: string
  /** Undefined: `source` is the mountpoint, and the config file names the sources ({@link placed} has seen to that). */
  mountpoint: string | undefined
  config: string | undefined
  backend: NonNullable<BackendChoice> | undefined
  options: string[]
  foreground: boolean
  debug: boolean
  'read-only': boolean | undefined
  subdirs: string | undefined
  attach: string | undefined
  force: boolean
}

const build = (argv: Argv): Argv<Args> =>
  withBackend(withSource(argv))
    .positional('mountpoint', { type: 'string', describe: 'an empty folder' })
    .option('options', {
      alias: 'o',
      type: 'string',
      array: true,
      nargs: 1,
      default: [] as string[],
      defaultDescription: 'none',
      describe:
        'options as in fstab: ro, backend=…, subdirs=…, allow_other, the layout (record_size=64K)',
    })
    .option('foreground', {
      alias: 'f',
      type: 'boolean',
      default: false,
      describe: 'stay in the foreground; Ctrl-C unmounts',
    })
    .option('single-threaded', {
      alias: 's',
      type: 'boolean',
      default: false,
      hidden: true,
      describe: 'accepted for mount(8)',
    })
    .option('debug', {
      alias: 'd',
      type: 'boolean',
      default: false,
      describe: 'stay in the foreground, and print the requests of FUSE',
    })
    .option('read-only', {
      alias: 'r',
      type: 'boolean',
      describe: 'never change the source (-o ro)',
    })
    .option('attach', {
      type: 'string',
      requiresArg: true,
      describe:
        "view: change nothing; boot: for this machine's own region: show the records of its last life, " +
        'and start with empty rings [view]',
    })
    .option('force', {
      type: 'boolean',
      default: false,
      describe: 'attach=boot: also where no zone has a header, and the bytes are not empty memory',
    })
    .option('subdirs', {
      type: 'string',
      requiresArg: true,
      describe:
        "backends' folders: visible, hidden (only opened by name) or off [visible; hidden over /sys/fs/pstore]",
    })

/** The options of a command line, of which `--subdirs` and the like win over `-o`. */
const givenIn = (args: Args): GivenOptions => {
  const { 'read-only': readOnly, attach, force, subdirs } = args
  const given = parseMountOptions([
    ...splitOptions(args.options),
    ...(readOnly === undefined ? [] : [readOnly ? 'ro' : 'rw']),
    ...(attach === undefined ? [] : [`attach=${attach}`]),
    ...(force ? ['force'] : []),
    ...(subdirs === undefined ? [] : [`subdirs=${subdirs}`]),
  ])
  if (args.backend) given.request.backend = args.backend
  const layout = { ...given.layout, ...parametersOf({ ...args }) }
  return { ...given, layout, config: args.config ?? given.config }
}

/** Where mounts are whose user does not say where: as those of pstorefs@.service. */
const usualPlace = (): string => {
  if (process.getuid!() === 0) return '/run/pstore'
  const { XDG_RUNTIME_DIR } = process.env
  if (XDG_RUNTIME_DIR) return `${XDG_RUNTIME_DIR}/pstore`
  throw new StoreError('no place for the mount: give MOUNTPOINT (XDG_RUNTIME_DIR is not set)')
}

/**
 * The arguments with a mountpoint, where a source alone is named. Where a config file is named, or the usual one is there
 * and the word is a folder, that is the mountpoint.
 */
const placed = (args: Args, given: GivenOptions): Args => {
  const { source, mountpoint } = args
  if (mountpoint !== undefined || given.config !== undefined) return args
  if (isFolder(source)) {
    if (fs.existsSync(defaultConfig)) return args
    if (findDriver(source) === driverNames[0])
      throw new StoreError(`${source}: is a folder: name a SOURCE before it, or --config FILE`)
  }
  return { ...args, mountpoint: path.join(usualPlace(), path.basename(parseSource(source).path)) }
}

/** Mount; resolves when the mount answers (background) or is gone (foreground). */
const run = async (
  args: Args,
  given = givenIn(args),
  makes = false,
  onReady: () => void = () => {},
): Promise<void> => {
  const mountpoint = args.mountpoint ?? args.source
  if (!args.foreground && !args.debug && !isDaemon()) {
    // A config file, a layout, or kallsyms.
    if ([given.config, ...Object.values(given.layout)].includes(standardInput))
      throw new StoreError(
        `${standardInput}: a mount in the background has no standard input: save it in a file first, or add -f`,
      )
    await startDaemon({ ...args, makes })
    onReady()
    return
  }
  // Loaded here, as the process that waits for the daemon does not need it.
  const { serve } = await import('../../service/serve.js')
  await serve(() => makePlan(args, given), mountpoint, { debug: args.debug, makes, onReady })
}

/** Serve a mount in the background, by the arguments that the first process read. */
export const serveTakenOver = (args: unknown): Promise<void> => {
  const { makes, ...others } = args as Args & { makes: boolean }
  return run(others, givenIn(others), makes)
}

const defaults: MountRequest = {
  readOnly: false,
  subdirs: undefined,
  mode: 'view',
  force: false,
  state: undefined,
  user: undefined,
  backend: null,
  uid: undefined,
  gid: undefined,
  umask: 0,
  transport: 'kernel',
  passed: [],
}

/** The plan by the command line, and by the config file as it is at this moment. */
const makePlan = (args: Args, given: GivenOptions): MountPlan => {
  const { config, ...chosen } = whatToMount(args, given)
  const passed = [config?.mount.passed ?? [], given.request.passed ?? []].flat()
  return { ...defaults, ...config?.mount, ...given.request, passed, ...chosen }
}

interface Chosen {
  /** `backend=` selects from these. */
  candidates: SourceCandidate[]
  /** The file's own `backend` holds only where the command line names no source. */
  backend: BackendChoice
  label: string
  isSingle: boolean
  /** The config file whose mount options hold. */
  config: Config | null
}

/** Words that stand in fstab as the source of a mount without one. */
const labels = ['none', 'pstore', 'pstorefs']

/** The candidates that SOURCE, `--config` and `backend=` leave to choose from. */
const whatToMount = (
  { source, mountpoint }: Args,
  { request: { backend = null }, layout, config: file }: GivenOptions,
): Chosen => {
  // A path needs no config file, and must not fail because the usual one is broken.
  const needed = file !== undefined || mountpoint === undefined || maybeName(source)
  const read = mountpoint === undefined ? findConfig : configFor.bind(null, source)
  const config = needed ? read(file) : null
  const all = (label: string): Chosen => {
    if (!config) throw new StoreError(`${defaultConfig}: no such file; name another with --config`)
    const candidates = config.backends.map(candidate => withOptions(candidate, layout))
    return {
      candidates,
      backend: backend ?? config.mount.backend ?? null,
      label,
      isSingle: false,
      config,
    }
  }
  if (mountpoint === undefined) return all(file ?? defaultConfig)
  if (config && maybeName(source)) {
    const configured = config.backends.some(({ name }) => name === source)
    // mount(8) wants a source; with `backend=` that may be any word.
    const label = !configured && labels.includes(source)
    if (label || (backend !== null && (configured || file !== undefined))) return all(source)
  }
  const candidates = [findSource(source, file, layout, config)]
  return { candidates, backend, label: source, isSingle: true, config }
}

const details =
  'Shows each record in the region as a file. Without --foreground, the command returns once the mount answers. ' +
  'Without MOUNTPOINT it is /run/pstore/NAME, or $XDG_RUNTIME_DIR/pstore/NAME, as printed. A missing folder is made, ' +
  'and removed after the mount. Unlinking a file erases its record in the region, unless the mount is read-only ' +
  '(-o ro). Unmount with umount or fusermount -u.'

export const mount: CommandModule<object, Args> = {
  command: 'mount <source> [mountpoint]',
  describe: 'show the records as files in a folder',
  builder: argv =>
    build(argv)
      .usage(
        `$0 mount SOURCE [MOUNTPOINT] [options]\n$0 mount --config FILE MOUNTPOINT [options]\n\n${details}`,
      )
      .example('$0 mount dump.bin', 'at /run/pstore/dump.bin')
      .example('$0 mount dump.bin /mnt --record-size 64K --console-size 256K', '')
      .example('$0 mount -r guest.img /mnt --preset crosvm', '')
      .example('$0 mount --config guests.toml --backend all /mnt', ''),
  handler: async args => {
    const given = givenIn(args)
    const all = placed(args, given)
    const say = (): void => {
      if (all !== args) printLine(`${all.mountpoint}`)
    }
    await run(all, given, true, say)
  },
}

/** The form that mount.fuse(8) runs for `mount -t fuse.pstorefs SOURCE DIR -o …`. */
export const mount8: CommandModule<object, Args> = {
  command: '$0 <source> <mountpoint>',
  describe: "mount(8)'s form of mount: SOURCE MOUNTPOINT -o OPT,…",
  // Its help is the program's help, whose readers look for the commands.
  builder: build,
  handler: async args => {
    // A mistyped command with one argument looks the same.
    const { source } = args
    const given = givenIn(args)
    const isSource = (): boolean =>
      labels.includes(source) ||
      given.request.backend !== undefined ||
      fs.existsSync(source) ||
      (findConfig(given.config)?.backends.some(({ name }) => name === source) ?? false)
    if (/^[a-z]+$/.test(source) && !isSource())
      throw new StoreError(
        `${source}: no such file, backend or command${meant(source, commandNames)} (see \`pstorefs help\`)`,
      )
    await run(args, given)
  },
}
