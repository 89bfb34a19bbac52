/** `pstorefs probe`: find regions and their layouts in a source. */
import type { CommandModule } from 'yargs'
import { probeSource } from '../../attach.js'
import type { FoundRegion } from '../../backends/index.js'
import { tell } from '../../service/log.js'
import { json } from '../show/output.js'
import { parametersOf } from '../options/parameters.js'
import { progressBar } from '../show/progress.js'
import { findSource, withSource, type SourceArgs } from '../options/source.js'
import { withoutControls } from '../../pstore/printable.js'

interface Args extends SourceArgs {
  json: boolean
}

const details =
  "Looks for ramoops regions in a dump of a region or of all RAM, in a guest's memory or in an ELF core, and " +
  'prints their layouts with the evidence: signatures tell where zones begin, parity tells its own size, and ' +
  'the content tells the kind of a ring. Options that the bytes leave undecided are named, with all possible ' +
  'layouts. Every command does the same where no layout is given. SOURCE can also be a device tree (blob or ' +
  "folder), /sys/module/ramoops/parameters, or a file with a kernel's command line."

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

export const probe: CommandModule<object, Args> = {
  command: 'probe <source>',
  describe: 'find regions and their layouts in a dump',
  builder: argv =>
    withSource(argv)
      .usage(`$0 probe SOURCE [options]\n\n${details}`)
      .option('json', { type: 'boolean', default: false, describe: 'print JSON, an object' })
      .example('$0 probe dump.bin', '')
      .example('$0 probe ram.img --mem-address 0x8000000 --mem-size 1M', 'search a part of it'),
  handler: args => {
    const { source, options } = findSource(args.source, args.config, parametersOf({ ...args }))
    const bar = progressBar('searching')
    const { regions, notes } = probeSource(source, { ...options, progress: bar.show })
    bar.clear()
    const text = regions.length ? regions.map(report).join('\n') : `${args.source}: no region found`
    process.stdout.write(
      `${args.json ? json({ regions: regions.map(toJson) }) : withoutControls(text)}\n`,
    )
    for (const note of notes) tell(`${args.source}: ${note}`)
  },
}
