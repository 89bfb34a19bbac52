/** `pstorefs format`: make or wipe a region. */
import type { CommandModule } from 'yargs'
import { format as formatSource } from '../../attach.js'
import { tell } from '../../service/log.js'
import { printLine } from '../show/output.js'
import { parametersOf } from '../options/parameters.js'
import {
  findSource,
  refuseStandardInput,
  sourceHelp,
  withSource,
  type SourceArgs,
} from '../options/source.js'

interface Args extends SourceArgs {
  force: boolean
}

export const format: CommandModule<object, Args> = {
  command: 'format <source>',
  describe: 'make a region, or wipe one',
  builder: argv =>
    withSource(argv)
      .positional('source', {
        type: 'string',
        demandOption: true,
        describe: `${sourceHelp}; a missing file is made, --mem-size long`,
      })
      .option('force', {
        type: 'boolean',
        default: false,
        describe: 'wipe a region that holds something',
      })
      .example('$0 format pstore.img --mem-size 1M --record-size 64K --console-size 256K', ''),
  handler: args => {
    const { source, options } = findSource(args.source, args.config, parametersOf({ ...args }))
    refuseStandardInput(source)
    for (const line of formatSource(source, { ...options, report: tell }, args.force))
      printLine(line)
  },
}
