/**
 * A crash as OTLP's log records: an event with the dump's text, and a record for each ring that goes with it.
 *
 * Names are OpenTelemetry's where it has some (`log.record.uid`, `host.name`, `os.version`); as of its event
 * app.crash, what is known of the machine that crashed is said of the event where somebody else tells of it.
 */
import { isUtf8 } from 'node:buffer'
import type { ProtobufLogsSerializer } from '@opentelemetry/otlp-transformer'
import crypto from 'node:crypto'
import { thisHost, type Host } from '../../native/host.js'
import type { Timespec } from '../../pstore/time.js'
import { isCrash, type ShippedCrash, type ShippedRecord } from '../crash.js'
import { Redaction } from '../redact.js'
import type { Attributes, Settings } from './settings.js'

/** What the serialisers take. */
export type LogRecord = Parameters<typeof ProtobufLogsSerializer.serializeRequest>[0][number]
type Resource = LogRecord['resource']

/** What is to be sent of a text: all of it, or a piece. */
export interface Piece {
  readonly text: Text
  /** In bytes. */
  readonly from: number
  readonly to: number
}

/** A log record's text, and what else it says. */
interface Text {
  readonly uid: string
  readonly isEvent: boolean
  readonly bytes: Buffer
  /** Whether it is UTF-8. */
  readonly isText: boolean
  readonly record: Omit<LogRecord, 'body'>
}

/** Severities of OTLP, and their names. */
const fatal = { severityNumber: 21, severityText: 'FATAL' }
const info = { severityNumber: 9, severityText: 'INFO' }

/** OTLP counts nanoseconds in 64 bits, collectors in signed ones; 0 is a time that nobody knows. */
const hrTime = (time: Timespec | null): [number, number] => {
  const total = time ? time.sec * 1_000_000_000n + BigInt(time.nsec) : 0n
  if (total < 0n || total >= 1n << 63n) return [0, 0]
  return [Number(total / 1_000_000_000n), Number(total % 1_000_000_000n)]
}

/** Devices that programs make of files and other machines' disks: the disks of guests. */
const virtual = /^\/dev\/(?:dm-|loop|nbd|rbd|drbd|zd|mapper\/|zvol\/)/

/** Is a source the machine's own that archived it, and no guest's? By its place: in /sys, a device, systemd's archive. */
export const isOwn = (source: string): boolean =>
  /^\/(?:sys|dev)\//.test(source)
    ? !virtual.test(source)
    : `${source}/`.startsWith('/var/lib/systemd/pstore/')

interface Facts {
  readonly [name: string]: string | null
}

const known = (facts: Facts): Attributes =>
  Object.fromEntries(
    Object.entries(facts).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  )

/** Attributes of which nothing is told that is to be taken out. */
const shown = (attributes: Attributes, redaction: Redaction | null): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, redaction?.line(value) ?? value]),
  )

/** A name in which the backend's is, that of a guest as a rule: where that is taken out, here, too. */
const withoutBackend = (name: string, backend: string, redaction: Redaction | null): string => {
  const left = redaction?.line(backend) ?? backend
  return name.replaceAll(`-${backend}-`, () => `-${left}-`)
}

const hashOf = (uids: readonly string[]): string =>
  crypto.createHash('sha256').update(uids.join()).digest('hex')

/** The records whose texts are the event's: the dump's parts that are text, or the console that has the report. */
const eventRecords = ({ dumps, others, manifest: { title } }: ShippedCrash): ShippedRecord[] => {
  const inflated = dumps.filter(({ compressed }) => !compressed)
  if (dumps.length > 0) return inflated.length > 0 ? inflated : dumps.slice(0, 1)
  return title === null ? [] : others.filter(({ type }) => type === 'console').slice(0, 1)
}

const scope = { name: 'pstorefs' }

/** Makes log records of crashes. */
export class LogRecords {
  readonly #here = thisHost()
  readonly #resources = new Map<string, Resource>()

  /** @param redacts whether addresses, host names and the command line's values are taken out */
  constructor(
    readonly settings: Settings,
    readonly redacts: boolean,
  ) {}

  /**
   * What is sent of a crash, one record in memory at a time.
   *
   * @throws StoreError where the archive has a record no more
   */
  *of(crash: ShippedCrash): Generator<Piece, void, void> {
    const redaction = this.#redaction(crash.host)
    const all = [...crash.dumps, ...crash.others]
    if (redaction) for (const record of all) redaction.learn(record.read())
    const event = eventRecords(crash)
    if (event.length > 0) yield this.#piece(crash, event, true, redaction)
    for (const record of all)
      if (!event.includes(record)) yield this.#piece(crash, [record], false, redaction)
  }

  #piece(
    crash: ShippedCrash,
    records: readonly ShippedRecord[],
    isEvent: boolean,
    redaction: Redaction | null,
  ): Piece {
    const { manifest, time, archived } = crash
    const { backend } = manifest
    const read = records.map(record => record.read())
    const whole = read.length === 1 ? read[0]! : Buffer.concat(read)
    const bytes = redaction ? redaction.text(whole) : whole
    const uids = records.map(({ uid }) => uid)
    const uid = uids.length === 1 ? uids[0]! : hashOf(uids)
    const isFatal = isEvent && isCrash(manifest)
    const ours: Facts = {
      'log.record.uid': uid,
      'crash.id': crash.uid,
      'crash.folder': withoutBackend(crash.name, backend, redaction),
      'crash.reason': manifest.reason,
      'crash.missing': manifest.missing,
      'crash.fingerprint': manifest.fingerprint,
      'os.type': 'linux',
      'pstore.type': records[0]!.type,
      'pstore.record': records
        .map(({ name }) => withoutBackend(name, backend, redaction))
        .join(' '),
      'pstore.sha256': records.map(({ sha256 }) => sha256).join(' '),
    }
    const others: Facts = {
      'crash.title': manifest.title,
      'crash.cause': manifest.cause,
      'os.version': manifest.kernel,
      'pstore.backend': backend,
      'pstore.source': manifest.source,
    }
    const attributes = { ...known(ours), ...shown(known(others), redaction) }
    const record = {
      hrTime: hrTime(time),
      hrTimeObserved: hrTime(archived),
      ...(isFatal ? fatal : info),
      ...(isEvent && {
        eventName: isFatal ? 'linux.kernel.crash' : 'linux.kernel.shutdown',
      }),
      attributes,
      droppedAttributesCount: 0,
      resource: this.#resource(crash),
      instrumentationScope: scope,
    }
    const text = { uid, isEvent, bytes, isText: isUtf8(bytes), record }
    return { text, from: 0, to: bytes.length }
  }

  /** Who tells of it: the machine that crashed, or the host of a guest that did. */
  #resource({ host, manifest: { source } }: ShippedCrash): Resource {
    const isOfHost = isOwn(source)
    const key = JSON.stringify([host, isOfHost])
    const made = this.#resources.get(key)
    if (made) return made
    const attributes = this.#attributes(host, isOfHost)
    const resource: Resource = {
      attributes,
      merge: () => resource,
      getRawAttributes: () => Object.entries(attributes),
    }
    this.#resources.set(key, resource)
    return resource
  }

  #attributes(host: Host, isOfHost: boolean): Attributes {
    const { serviceName, resource } = this.settings
    // What the environment says of a host is this one's.
    const isHere = (host.id ?? host.name) === (this.#here.id ?? this.#here.name)
    const given = Object.entries(resource).filter(([name]) => isHere || !name.startsWith('host.'))
    const all = {
      ...known({
        'service.name': serviceName,
        'host.name': this.redacts ? null : host.name,
        'host.id': host.id,
      }),
      ...Object.fromEntries(given),
    }
    const named = Object.fromEntries(
      Object.entries(all).map(([name, value]) => [
        name.startsWith('host.') && !isOfHost ? `pstorefs.${name}` : name,
        value,
      ]),
    )
    return shown(named, this.#redaction(host))
  }

  /** What is taken out of what tells of a machine; null: nothing. */
  #redaction({ name }: Host): Redaction | null {
    return this.redacts ? new Redaction([name, this.#here.name]) : null
  }
}

/** A piece as OTLP has it. A text that is whole has the uid of what it was made of; a piece one that no other has. */
export const toLogRecord = ({ text, from, to }: Piece): LogRecord => {
  const { bytes, isText, record, uid } = text
  const part = bytes.subarray(from, to)
  const body = isText ? part.toString() : part
  if (from === 0 && to === bytes.length) return { ...record, body }
  const { eventName, ...rest } = record
  return {
    ...rest,
    // One crash is one event.
    ...(from === 0 ? eventName !== undefined && { eventName } : info),
    body,
    attributes: {
      ...record.attributes,
      'log.record.uid': `${uid}:${from}-${to}`,
      'pstore.part.from': from,
      'pstore.part.to': to,
      'pstore.part.of': bytes.length,
    },
  }
}

const lineFeed = 0x0a

/** A piece in two, at a line's end where there is one, and in no letter; null where it is too short for that. */
export const halve = ({ text, from, to }: Piece): [Piece, Piece] | null => {
  const { bytes, isText } = text
  const middle = from + Math.floor((to - from) / 2)
  const line = bytes.lastIndexOf(lineFeed, middle) + 1
  let at = line > from ? line : middle
  // The second byte and those that follow it of a letter in UTF-8.
  while (isText && at > from && (bytes[at]! & 0xc0) === 0x80) at--
  return at <= from
    ? null
    : [
        { text, from, to: at },
        { text, from: at, to },
      ]
}
