/**
 * The pstore/zone driver: what pstore_blk and mtdpstore keep on a disk or flash.
 *
 * Source: doc/formats.md 3; fs/pstore/zone.c (psz_pstore_read, psz_pstore_erase, psz_kmsg_write).
 */
import { contentOf } from '../../pstore/content.js'
import { inflate } from '../../pstore/deflate.js'
import type { DumpBody, Inspection, NewDump } from '../../pstore/driver.js'
import { decodeTitle } from '../../pstore/dump.js'
import type { DumpZone } from '../../pstore/rotation.js'
import type { Region } from '../../region/region.js'
import { ZonedDriver, type DumpInZone } from '../../region/zoned.js'
import {
  decodeKmsgHeader,
  encodeKmsgHeader,
  isCounted,
  kmsgHeaderSize,
  reasonNumber,
  totalLine,
} from './header.js'
import { dumpRoom, type ZoneLayout } from './layout.js'
import { Zone } from './zone.js'

/** The order in which Linux enumerates, after dmesg; readdir shows it backwards. */
const rings = ['ftrace', 'pmsg', 'console', 'tty'] as const
/** Linux inflates up to this many times the bytes of a dump that a zone can hold. */
const expansion = 3

export class ZoneDriver extends ZonedDriver<Zone> {
  readonly #limit: number

  /** @param region at least `layout.memSize` long; is closed by {@link close} */
  constructor(
    region: Region,
    override readonly layout: ZoneLayout,
  ) {
    const makeZone: ZonedDriver<Zone>['makeZone'] = extent =>
      new Zone(region, extent, layout.endian)
    super('zone', region, layout, rings, makeZone, ({ extent }) => dumpRoom(extent.size))
    this.#limit = expansion * (this.dumps('dmesg')?.room ?? 0)
  }

  get facts(): { [name: string]: string | number } {
    return { mem_size: this.layout.memSize, endian: this.layout.endian }
  }

  dumpIn(content: Buffer): DumpInZone | null {
    const header = decodeKmsgHeader(content, this.layout.endian)
    if (!header) return null
    const { time, compressed } = header
    const stored = content.subarray(kmsgHeaderSize)
    // Linux ends its enumeration here, and loses all that follows; an empty record is just no file.
    if (compressed && stored.length === 0) return null
    const body = compressed ? stored : Buffer.concat([Buffer.from(totalLine(header)), stored])
    return { body, time, compressed, limit: this.#limit }
  }

  inspect(zone: Zone): Inspection {
    const { state, datalen: used, start } = zone.status()
    const findings: string[] = []
    if (state === 'invalid')
      findings.push('the header claims more than the zone holds: Linux takes it for new')
    const isDump = zone.extent.kind === 'dmesg' && state === 'valid'
    const dump = isDump ? this.#dumpBody(zone.read().content, findings) : null
    const isDropped = isDump && !dump
    return {
      state,
      used,
      start,
      findings,
      lost: state === 'invalid' || isDropped,
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
    const { time, compressed } = header
    const body = content.subarray(kmsgHeaderSize)
    if (compressed && body.length === 0)
      findings.push('an empty dump: Linux shows neither it nor later records')
    const stream = compressed ? body : null
    return { time, compressed, length: body.length, stream, limit: this.#limit }
  }

  protected turnOf(zone: Zone): DumpZone {
    return { time: zone.kmsgHeader()?.time ?? null, free: zone.status().datalen === 0 }
  }

  /** A dump's reason is what its title says. */
  protected storeDump(dump: NewDump, zone: Zone, epoch: number): void {
    const { bytes, time, compressed } = dump
    const reason = this.#reasonOf(bytes, compressed)
    const counter = isCounted(reason) ? this.#nextCounter(reason) : 0
    const header = encodeKmsgHeader({ time, compressed, counter, reason }, this.layout.endian)
    zone.replace(Buffer.concat([header, bytes]), epoch)
  }

  /** Why there is a dump, as the first line of its text says; 0 where that says nothing. */
  #reasonOf(bytes: Uint8Array, compressed: boolean): number {
    const whole = Buffer.from(bytes)
    const text = compressed ? inflate(whole, this.#limit) : contentOf(whole)
    const title = text && decodeTitle(text.slice(0, Infinity))
    return title ? reasonNumber(title.reason) : 0
  }

  /** What Linux finds out when it boots: what a dump of this reason counts as. Erased dumps count, too. */
  #nextCounter(reason: number): number {
    let counter = 0
    for (const zone of this.dumpZones()) {
      const header = zone.kmsgHeader()
      if (header?.reason === reason) counter = Math.max(counter, header.counter)
    }
    return (counter + 1) >>> 0
  }
}
