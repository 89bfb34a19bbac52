/**
 * The ramoops driver: what a region's zones hold.
 *
 * Source: doc/formats.md 1.6–1.9; fs/pstore/ram.c (ramoops_pstore_read, ramoops_pstore_write).
 */
import { count } from '../../pstore/condition.js'
import type { DumpBody, Inspection, NewDump } from '../../pstore/driver.js'
import { StoreError } from '../../pstore/errors.js'
import type { WordSize } from '../../pstore/ftrace.js'
import type { DumpZone } from '../../pstore/rotation.js'
import type { ZoneKind } from '../../pstore/types.js'
import type { Region } from '../../region/region.js'
import { ZonedDriver, type DumpInZone, type ZonedOptions } from '../../region/zoned.js'
import { decodeDmesgHeader, encodeDmesgHeader } from './dmesg-header.js'
import { signs } from './elsewhere.js'
import type { RamoopsLayout } from './layout.js'
import { Zone, type Inspected } from './zone.js'

/** The order in which Linux enumerates, after dmesg; readdir shows it backwards. */
const rings = ['console', 'pmsg', 'tty', 'ftrace', 'boot-log'] as const
/** Linux decompresses up to this many times the data length of the first dmesg zone. */
const expansion = 3

/** A header line of the length that all have until the year 2286. */
const dumpHeader = encodeDmesgHeader({ sec: 1_000_000_000n, nsec: 0 }, false)

/** Bytes that have the line of a usual dump, and more; less than a block of parity. */
const turnLength = 64

export class RamoopsDriver extends ZonedDriver<Zone> {
  readonly #limit: number
  protected readonly signs = signs

  /** @param region is closed by {@link close} */
  constructor(
    region: Region,
    override readonly layout: RamoopsLayout,
    override readonly wordSize: WordSize | undefined = undefined,
    options: ZonedOptions = {},
  ) {
    const { ecc, endian, oldParity } = layout
    const makeZone: ZonedDriver<Zone>['makeZone'] = extent =>
      new Zone(region, extent, ecc, endian, oldParity)
    const roomOf = ({ dataLength }: Zone): number => dataLength - dumpHeader.length
    super('ramoops', region, layout, rings, makeZone, roomOf, options)
    this.#limit = expansion * ((this.dumps('dmesg')?.room ?? 0) + dumpHeader.length)
  }

  get facts(): { [name: string]: string | number } {
    const { memAddress, memSize, ecc, endian } = this.layout
    return { mem_address: memAddress, mem_size: memSize, ecc, endian }
  }

  override labelOf(kind: ZoneKind): string {
    return this.layout.labels[kind] ?? kind
  }

  override get mergesFtrace(): boolean {
    return this.layout.ftracePerCpu
  }

  dumpIn(content: Buffer): DumpInZone | null {
    const header = decodeDmesgHeader(content)
    const body = header && content.subarray(header.length)
    // Linux ends its enumeration here, and loses all that follows; an empty record is just no file.
    if (!header || !body?.length) return null
    const { time, compressed } = header
    return { body, time, compressed, limit: this.#limit }
  }

  inspect(zone: Zone): Inspection {
    const doubt = zone.doubt()
    const found = zone.inspect()
    const { state, size: used, start, ecc, blocks, content } = found
    const findings = findingsOf(found)
    const parity = ecc && blocks && { ...ecc, blocks }
    const isBad = (ecc?.bad ?? 0) > 0
    if (doubt) {
      const behind = this.behind(zone, doubt)
      findings.push(...behind.findings)
      return { ...behind, findings, lost: behind.lost || isBad, parity }
    }
    const isDump = zone.extent.kind === 'dmesg' && state === 'valid'
    const dump = isDump ? this.#dumpBody(content, findings) : null
    const isDropped = isDump && !dump
    return {
      state,
      used,
      start,
      findings,
      lost: isDropped || isBad,
      shown: !isDropped && dump?.length !== 0,
      parity,
      dump,
    }
  }

  /** What is in a dump's zone; null where that is no dump. Adds to what was found. */
  #dumpBody(content: Buffer, findings: string[]): DumpBody | null {
    const header = decodeDmesgHeader(content)
    if (!header) {
      findings.push('does not begin as a dump (====): Linux drops it')
      return null
    }
    const { time, compressed } = header
    const body = content.subarray(header.length)
    if (body.length === 0) findings.push('an empty dump: Linux shows neither it nor later records')
    const stream = compressed ? body : null
    return { time, compressed, length: body.length, stream, limit: this.#limit }
  }

  /** By a dump's line alone: there are thousands of zones, and each dump asks for all. */
  protected turnOf(zone: Zone): DumpZone {
    const { size, bytes } = zone.front(turnLength)
    if (size === 0) return { time: null, free: true }
    const header = decodeDmesgHeader(bytes)
    if (header && header.length + 2 < bytes.length) return { time: header.time, free: false }
    // It is none, or goes on behind these, or there is nothing behind it.
    return { time: this.dumpIn(zone.read().content)?.time ?? null, free: false }
  }

  protected storeDump({ bytes, time, compressed }: NewDump, zone: Zone, epoch: number): void {
    const header = Buffer.from(encodeDmesgHeader(time, compressed))
    const length = header.length + bytes.length
    // The line of an odd time is longer than the others: nothing goes for what has no room.
    if (length > zone.dataLength)
      throw new StoreError(
        `${this.region.path}: ${length} bytes, the line of its time included, do not fit into a zone of ${zone.dataLength}`,
        'ENOSPC',
      )
    // As Linux does: the old dump goes first, so that no moment shows a part of each.
    zone.erase(epoch)
    zone.append(Buffer.concat([header, bytes]), epoch)
  }
}

/** What is wrong with a zone, or was corrected, in words. */
const findingsOf = ({ headerErrors, ecc }: Inspected): string[] => {
  const findings: string[] = []
  if (headerErrors > 0) findings.push(`${count(headerErrors, 'byte')} of the header corrected`)
  if (headerErrors < 0) findings.push('the header cannot be corrected')
  const inBlocks = (ecc?.corrected ?? 0) - Math.max(0, headerErrors)
  if (inBlocks > 0) findings.push(`${count(inBlocks, 'byte')} of the data corrected`)
  const badBlocks = (ecc?.bad ?? 0) - (headerErrors < 0 ? 1 : 0)
  if (badBlocks > 0) findings.push(`${count(badBlocks, 'block')} of the data cannot be corrected`)
  return findings
}
