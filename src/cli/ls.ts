/** `pstorefs ls`: the records, without FUSE. */
import type { CommandModule } from 'yargs'
import type { Record } from '../pstore/backend.js'
import type { Timespec } from '../pstore/time.js'
import { attachSource, withSource, type SourceArgs } from './source.js'

interface Args extends SourceArgs {
  json: boolean
}

/** A record as `--json` shows it (DESIGN.md 4.1). */
const toJson = (backend: string, { type, id, name, size, time, compressed, ecc }: Record) => ({
  backend,
  type,
  id: String(id),
  name,
  size,
  mtime: time && decimal(time),
  compressed,
  ecc,
})

/** Seconds with nine decimals; more than a second's nanoseconds are carried. */
const decimal = ({ sec, nsec }: Timespec): string => {
  const total = sec * 1_000_000_000n + BigInt(nsec)
  const digits = String(total < 0n ? -total : total).padStart(10, '0')
  return `${total < 0n ? '-' : ''}${digits.slice(0, -9)}.${digits.slice(-9)}`
}

/** What a person wants to know of a record's state. */
const state = ({ compressed, ecc }: Record): string =>
  [
    compressed ? 'cannot be inflated' : '',
    ecc?.corrected ? `${ecc.corrected} bytes corrected` : '',
    ecc?.bad ? `${ecc.bad} blocks damaged` : '',
  ]
    .filter(Boolean)
    .join(', ') || 'ok'

/** The time in the local zone, to the second; a dash where there is none or no calendar has it. */
const when = (time: Timespec | null): string => {
  const date = new Date(time ? Number(time.sec) * 1000 + time.nsec / 1e6 : NaN)
  if (Number.isNaN(date.getTime())) return '-'
  const two = (n: number): string => String(n).padStart(2, '0')
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  )
}

const table = (records: Record[]): string => {
  const rows = records.map(r => [r.name, String(r.size), when(r.time), state(r)])
  const width = (i: number): number => Math.max(...rows.map(row => row[i].length))
  const [name, size, time] = [width(0), width(1), width(2)]
  return rows
    .map(r => `${r[0].padEnd(name)}  ${r[1].padStart(size)}  ${r[2].padEnd(time)}  ${r[3]}\n`)
    .join('')
}

export const ls: CommandModule<object, Args> = {
  command: 'ls <source>',
  describe: 'list the records in a region: name, size, time, state',
  builder: argv =>
    withSource(argv)
      .option('json', { type: 'boolean', default: false, describe: 'an array, for programs' })
      .example('$0 ls dump.bin --record-size 64K --console-size 256K', '')
      .example('$0 ls ram.img --mem-address 0x8000000 --mem-size 1M --record-size 32K --ecc 1', ''),
  handler: args => {
    const backend = attachSource(args, { readOnly: true })
    try {
      const records = [...backend.records()]
      process.stdout.write(
        args.json
          ? `${JSON.stringify(
              records.map(record => toJson(backend.name, record)),
              null,
              1,
            )}\n`
          : table(records),
      )
    } finally {
      backend.close()
    }
  },
}
