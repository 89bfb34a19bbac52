/**
 * Crashes in the journal: the fields of one, and how journald takes them (systemd.io/JOURNAL_NATIVE_PROTOCOL).
 * The export format has them in the same form (systemd.io/JOURNAL_EXPORT_FORMATS).
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { longestText, textOf } from '../crash/text.js'
import { Datagrams } from '../native/datagram.js'
import { contentOf, Tail } from '../pstore/content.js'
import { StoreError } from '../pstore/errors.js'
import { withoutControls } from '../pstore/printable.js'
import { printTime } from '../pstore/time.js'
import { isCrash, type ShippedCrash } from './crash.js'

/** units/pstorefs.catalog tells of it. */
export const messageId = '83a7fcd0407f49babaa0261c6db46e7f'

/** syslog(3)'s LOG_CRIT and LOG_INFO. */
const critical = '2'
const info = '6'

/** A crash's text: its dumps, or without one its console. */
const bodyOf = ({ dumps, others }: ShippedCrash): string => {
  const end = new Tail(longestText)
  const consoles = others.filter(({ type }) => type === 'console')
  for (const record of dumps.length > 0 ? dumps : consoles) {
    if (record.compressed) continue
    const bytes = record.read()
    end.add(textOf(record, contentOf(bytes), bytes.length))
  }
  return withoutControls(end.bytes().toString())
}

/** What an entry's first line says. */
const headOf = ({ manifest: { title, cause, reason, backend } }: ShippedCrash): string =>
  `${backend}: ${title ?? cause ?? reason ?? 'no crash: rings of a life that left no dump'}`

/**
 * A crash's fields. Their text drives no terminal.
 *
 * @param archive the archive's whole path
 * @throws StoreError where the archive has a record no more
 */
export const fieldsOf = (archive: string, crash: ShippedCrash): [name: string, value: string][] => {
  const { manifest, host, name, uid, time } = crash
  const { title, reason, cause, fingerprint, kernel, missing, backend, source } = manifest
  const facts: [string, string | null][] = [
    ['TITLE', title],
    ['FINGERPRINT', fingerprint],
    ['REASON', reason],
    ['CAUSE', cause],
    ['KERNEL', kernel],
    ['MISSING', missing],
    ['BACKEND', backend],
    ['SOURCE', source],
    ['HOST', host.name],
    ['TIME', time && printTime(time)],
    ['FOLDER', `${archive}/${name}`],
    ['UID', uid],
  ]
  return [
    ['MESSAGE', `${withoutControls(headOf(crash))}\n${bodyOf(crash)}`],
    ['MESSAGE_ID', messageId],
    ['PRIORITY', isCrash(manifest) ? critical : info],
    ['SYSLOG_IDENTIFIER', 'pstorefs'],
    ...facts.flatMap(([field, value]): [string, string][] =>
      value === null ? [] : [[`PSTORE_${field}`, withoutControls(value)]],
    ),
  ]
}

/** Fields in the form that journald takes, and the export format has. */
export const encodeFields = (fields: readonly (readonly [name: string, value: string])[]): Buffer =>
  Buffer.concat(
    fields.flatMap(([name, value]) => {
      if (!value.includes('\n')) return [Buffer.from(`${name}=${value}\n`)]
      const bytes = Buffer.from(value)
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(bytes.length))
      return [Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]
    }),
  )

const socket = '/run/systemd/journal/socket'
/** How long journald may be behind, in ms. */
const patience = 5000
const pause = 20

/** The journal of this machine. */
export class Journal {
  readonly #datagrams = new Datagrams(socket)

  /** @throws StoreError where journald does not take an entry */
  async add(fields: ReturnType<typeof fieldsOf>): Promise<void> {
    const message = encodeFields(fields)
    for (let waited = 0; !this.#datagrams.send(message); waited += pause) {
      if (waited >= patience) throw new StoreError(`${socket}: journald takes nothing`)
      await sleep(pause)
    }
  }

  close(): void {
    this.#datagrams.close()
  }
}
