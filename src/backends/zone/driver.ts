/**
 * The pstore/zone driver: what pstore_blk and mtdpstore keep on a disk or flash.
 *
 * Source: doc/formats.md 3; fs/pstore/zone.c (psz_pstore_read, psz_pstore_erase, psz_kmsg_write).
 */
import { contentOf } from '../../pstore/content.js'
import { decompress } from '../../pstore/codecs/index.js'
import type { DumpBody, Inspection, NewDump } from '../../pstore/driver.js'
import { decodeTitle } from '../../pstore/dump.js'
import type { WordSize } from '../../pstore/ftrace.js'
import { ifReadable } from '../../pstore/errors.js'
import type { DumpZone } from '../../pstore/rotation.js'
import type { Region } from '../../region/region.js'
import type { Signs } from '../../region/signs.js'
import { ZonedDriver, type DumpInZone, type ZonedOptions } from '../../region/zoned.js'
import {
  decodeKmsgHeader,
  decodeZoneHeader,
  encodeKmsgHeader,
  isCounted,
  isSigned,
  kmsgForms,
  kmsgHeaderSize,
  reasonNumber,
  totalLine,
  zoneHeaderSize,
  type KmsgForm,
  type KmsgHeader,
} from './header.js'
import { dumpRoom, largestStore, type ZoneLayout } from './layout.js'
import { Zone } from './zone.js'

/** The order in which Linux enumerates, after dmesg; readdir shows it backwards. */
const rings = ['ftrace', 'pmsg', 'console', 'tty'] as const
/** Linux decompresses up to this many times the bytes of a dump that a zone can hold. */
const expansion = 3

const kinds = ['dmesg', ...rings] as const

const signs: Signs = {
  headerSize: zoneHeaderSize,
  at: (bytes, at, endian) => {
    const { sig, datalen: size, start } = decodeZoneHeader(bytes.subarray(at), endian)
    const signed = kinds.filter(kind => isSigned(sig, kind))
    return signed.length === 0
      ? null
      : { kinds: signed, size, isPossible: start <= size && size < largestStore }
  },
  shares: (total, cpus) => [Math.floor(total / cpus)],
}

export class ZoneDriver extends ZonedDriver<Zone> {
  /** Bytes of a dmesg zone for a dump and its header. */
  readonly #room: number
  protected readonly signs = signs

  /** @param region at least `layout.memSize` long; is closed by {@link close} */
  constructor(
    region: Region,
    override readonly layout: ZoneLayout,
    override readonly wordSize: WordSize | undefined = undefined,
    options: ZonedOptions = {},
  ) {
    const makeZone: ZonedDriver<Zone>['makeZone'] = extent =>
      new Zone(region, extent, layout.endian)
    const roomOf = ({ extent }: Zone): number => dumpRoom(extent.size)
    super('zone', region, layout, rings, makeZone, roomOf, options)
    this.#room = (this.dumps('dmesg')?.room ?? 0) + kmsgHeaderSize
  }

  get facts(): { [name: string]: string | number } {
    return { mem_size: this.layout.memSize, endian: this.layout.endian }
  }

  dumpIn(content: Buffer): DumpInZone | null {
    const header = decodeKmsgHeader(content, this.layout.endian)
    if (!header) return null
    const { form, time, compressed } = header
    const stored = content.subarray(form.size)
    // Linux ends its enumeration here, and loses all that follows; an empty record is just no file.
    if (compressed && stored.length === 0) return null
    const body = compressed ? stored : Buffer.concat([Buffer.from(totalLine(header)), stored])
    return { body, time, compressed, limit: this.#limit(form) }
  }

  inspect(zone: Zone): Inspection {
    const doubt = zone.doubt()
    if (doubt) return { ...this.behind(zone, doubt), parity: null }
    const { state, datalen: used, start } = zone.status()
    const findings: string[] = []
    // Nothing is sound that was not read.
    const { content } = zone.read()
    const isDump = zone.extent.kind === 'dmesg' && state === 'valid'
    const dump = isDump ? this.#dumpBody(content, findings) : null
    const isDropped = isDump && !dump
    return {
      state,
      used,
      start,
      findings,
      lost: isDropped,
      shown: !isDropped && !(dump?.compressed && dump.length === 0),
      parity: null,
      dump,
    }
  }

  /** What is in a dump's zone; null where that is no dump. Adds to what was found. */
  #dumpBody(content: Buffer, findings: string[]): DumpBody | null {
    const header = decodeKmsgHeader(content, this.layout.endian)
    if (!header) {
      findings.push("no dump's header: Linux drops it")
      return null
    }
    const { form, time, compressed } = header
    const body = content.subarray(form.size)
    if (compressed && body.length === 0)
      findings.push('an empty dump: Linux shows neither it nor later records')
    const stream = compressed ? body : null
    return { time, compressed, length: body.length, stream, limit: this.#limit(form) }
  }

  protected turnOf(zone: Zone): DumpZone {
    const { header, free } = zone.turn()
    return { time: header?.time ?? null, free }
  }

  /** Bytes that a dump's stream may become. */
  #limit(form: KmsgForm): number {
    return expansion * (this.#room - form.size)
  }

  /** A dump's reason is what its title says, and its header's form that of the newest dump: so its machine reads it. */
  protected storeDump(dump: NewDump, zone: Zone, epoch: number): void {
    const { bytes, time, compressed } = dump
    const others = this.#headers()
    const form = newestFormOf(others)
    const reason = this.#reasonOf(bytes, compressed, form)
    const counter = isCounted(reason) ? nextCounter(others, reason) : 0
    const header = encodeKmsgHeader({ form, time, compressed, counter, reason }, this.layout.endian)
    zone.replace(Buffer.concat([header, bytes]), epoch)
  }

  /** Why there is a dump, as the first line of its text says; 0 where that says nothing. */
  #reasonOf(bytes: Uint8Array, compressed: boolean, form: KmsgForm): number {
    const whole = Buffer.from(bytes)
    const text = compressed ? decompress(whole, this.#limit(form)) : contentOf(whole)
    const title = text && decodeTitle(text.slice(0, Infinity))
    return title ? reasonNumber(title.reason) : 0
  }

  /** What the store knows of its dumps, erased ones included, as Linux finds it out when it boots. */
  #headers(): KmsgHeader[] {
    return [...this.dumpZones()].flatMap(zone => ifReadable(() => zone.kmsgHeader()) ?? [])
  }
}

/** What a dump of this reason counts as. */
const nextCounter = (others: readonly KmsgHeader[], reason: number): number =>
  (others.reduce((most, of) => (of.reason === reason ? Math.max(most, of.counter) : most), 0) +
    1) >>>
  0

const newestFormOf = (others: readonly KmsgHeader[]): KmsgForm => {
  const [first, ...rest] = others
  if (!first) return kmsgForms.bits64
  return rest.reduce((newest, of) => (of.time.sec > newest.time.sec ? of : newest), first).form
}
