/** `pstorefs probe`: find regions and their layouts in a source. */
import path from 'node:path'
import type { CommandModule } from 'yargs'
import {
  backendName,
  likeness,
  parseSource,
  probeSource,
  sourceOf,
  type FoundStore,
} from '../../attach.js'
import type { FoundRegion } from '../../backends/index.js'
import { standardInput } from '../../native/stdin.js'
import { tell } from '../../service/log.js'
import { json, print, printLine } from '../show/output.js'
import { parametersOf } from '../options/parameters.js'
import { progressBar } from '../show/progress.js'
import { findSource, withSource, type SourceArgs } from '../options/source.js'
import { withoutControls } from '../../pstore/printable.js'

interface Args extends SourceArgs {
  json: boolean
  toml: boolean
}

const details =
  "Looks for ramoops regions in a dump of a region or of all RAM, in a guest's memory, an ELF core or a migration " +
  'stream of it (`virsh dump`, `virsh save`), and prints their layouts with the evidence: signatures tell where zones ' +
  'begin, parity tells its own size, and the content tells the kind of a ring. Options that the bytes leave undecided ' +
  'are named, with all possible layouts. Every command does the same where no layout is given. SOURCE can also be what ' +
  "describes a region: a device tree (blob, overlay or folder), a kernel's command line or log, modprobe.d, or " +
  '/sys/module/ramoops/parameters. Commands take a layout from such a file with --layout.'

/** The members of a region that `--json` shows. */
const shown = [
  'mem_address',
  'mem_size',
  'record_size',
  'console_size',
  'ftrace_size',
  'pmsg_size',
  'tty_size',
  'ecc',
  'cpus',
  'order',
  'endian',
  'certain',
  'open',
  'evidence',
  'options',
  'preset',
  'zones',
  'boot_log_size',
] as const satisfies (keyof FoundRegion)[]

const toJson = (region: FoundRegion): object => {
  const { others } = region
  const evidence = [...region.evidence, ...others.map(options => `also possible: ${options}`)]
  return Object.fromEntries(shown.map(name => [name, { ...region, evidence }[name]]))
}

/** A region for people. */
const report = (region: FoundRegion): string =>
  [
    `region at 0x${region.mem_address.toString(16)}, ${region.mem_size} bytes: ` +
      (region.certain ? 'its layout is certain' : 'its layout is not certain'),
    `  ${region.options}`,
    ...region.evidence.map(line => `  - ${line}`),
    ...(region.open.length ? [`  undecided: ${region.open.join(', ')}`] : []),
    ...(region.others.length ? ['  also possible, likeliest first:'] : []),
    ...region.others.map(options => `    ${options}`),
  ].join('\n')

const storeToJson = ({ driver, source, facts, evidence, options }: FoundStore): object => ({
  driver,
  source,
  ...facts,
  evidence,
  ...(options === undefined ? {} : { options }),
})

/** A store for people. */
const reportStore = ({ store, source, facts, evidence, options }: FoundStore): string =>
  [
    `${store}: ${source}`,
    `  ${Object.entries(facts)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    ...evidence.map(line => `  - ${line}`),
    ...(options === undefined ? [] : [`  ${options}`]),
  ].join('\n')

/**
 * A table for a config file, which --layout takes, too.
 *
 * @param options as a command takes them: `--name value`
 */
const toTable = (name: string, source: string, options: string): string => {
  const words = options.split(' ').filter(Boolean)
  const keys = words.flatMap((word, i) => {
    const value = words[i + 1] ?? ''
    if (i % 2 > 0) return []
    return [
      `${word.slice(2).replaceAll('-', '_')} = ${/^\d+$/.test(value) ? value : JSON.stringify(value)}`,
    ]
  })
  return [`[backends.${name}]`, `source = ${JSON.stringify(source)}`, ...keys, ''].join('\n')
}

/** Names of backends: the driver's, with a number where there are several. */
const numbered = (name: string, i: number): string => (i === 0 ? name : `${name}${i + 1}`)

const tables = (source: string, regions: FoundRegion[], stores: FoundStore[]): string => {
  const { driver, path: file } = parseSource(source)
  const place = sourceOf(driver, file === standardInput ? file : path.resolve(file))
  return [
    ...regions.map(({ options }, i) =>
      toTable(numbered(backendName('ramoops'), i), place, options),
    ),
    ...stores.map(({ driver, options = '' }) =>
      toTable(backendName(driver), sourceOf(driver, path.resolve(file)), options),
    ),
  ].join('\n')
}

export const probe: CommandModule<object, Args> = {
  command: 'probe <source>',
  describe: 'find regions and their layouts in a dump',
  builder: argv =>
    withSource(argv)
      .usage(`$0 probe SOURCE [options]\n\n${details}`)
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an object' })
      .option('toml', {
        type: 'boolean',
        default: false,
        describe: 'print the tables of a config file (pstorefs.toml(5))',
      })
      .check(args => !(args.json && args.toml) || 'Give --json or --toml, not both')
      .example('$0 probe dump.bin', '')
      .example('$0 probe ram.img --mem-address 0x8000000 --mem-size 1M', 'search a part of it'),
  handler: args => {
    const { source, options } = findSource(args.source, args.config, parametersOf({ ...args }))
    const bar = progressBar('searching')
    const found = probeSource(source, { ...options, progress: bar.show, report: tell })
    const { regions, stores, notes, describes } = found
    bar.clear()
    if (args.json)
      printLine(json({ regions: regions.map(toJson), stores: stores.map(storeToJson) }))
    else if (args.toml) print([tables(source, regions, stores)])
    else
      for (const text of [...regions.map(report), ...stores.map(reportStore)])
        printLine(withoutControls(text))
    for (const note of notes) tell(`${args.source}: ${note}`)
    if (regions.length > 0 || stores.length > 0) return
    process.exitCode = 1
    if (describes) {
      tell(`${args.source}: is ${describes}: it describes no ramoops region`)
      return
    }
    const why =
      likeness(source) ??
      'if it is one, give its layout to the other commands (--record-size and others, or --zones)'
    tell(
      `${args.source}: no ramoops region found: no pstore_blk, EFI or ERST store either, and no copied record: ${why}`,
    )
  },
}
