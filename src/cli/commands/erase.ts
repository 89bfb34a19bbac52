/** `pstorefs erase`: erase records, as unlink does in a mount. */
import type { CommandModule } from 'yargs'
import { StoreError } from '../../pstore/errors.js'
import { recordsNamed, withSourceAndNames, type SourceAndNames } from '../options/named-records.js'
import { attachToRead } from '../options/source.js'

export const erase: CommandModule<object, SourceAndNames> = {
  command: 'erase <source> <names..>',
  describe: 'erase records for good',
  builder: argv =>
    withSourceAndNames(argv).example('$0 erase dump.bin dmesg-ramoops-0 --record-size 64K', ''),
  handler: args => {
    const backend = attachToRead(args, { readOnly: false })
    try {
      // All or nothing: a missing name stops the command before it erases.
      for (const record of recordsNamed(backend, args))
        if (!record.erase())
          throw new StoreError(`${record.name}: replaced by another dump; not erased`)
    } finally {
      backend.close()
    }
  },
}
