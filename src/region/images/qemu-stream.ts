/**
 * QEMU's migration stream: which page of which RAM block lies where in it.
 *
 * Source: doc/formats.md 12; QEMU's migration/savevm.c (qemu_savevm_state_setup, vmstate_configuration) and
 * migration/ram.c (ram_save_setup, save_page_header, mapped_ram_setup_ramblock). Only what comes before the end of
 * the RAM is read: the states of devices behind it have no lengths.
 */
import { count } from '../../pstore/condition.js'
import { StoreError } from '../../pstore/errors.js'
import { Cursor, CutShort } from './cursor.js'
import { PageTable } from './page-table.js'

export const streamMagic = Buffer.from('QEVM')
const streamVersion = 3

/** What a section begins with. */
const section = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  subsection: 0x05,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const

/** The lowest bits of a page's offset. */
const flag = {
  zero: 0x02,
  memSize: 0x04,
  page: 0x08,
  eos: 0x10,
  continued: 0x20,
  xbzrle: 0x40,
  compressed: 0x100,
  multifdFlush: 0x200,
} as const

/** The alignment of blocks in an image, in bytes. */
const alignment = 4096
/** The smallest page of any target has 1 KiB: no flag reaches its bit. */
const leastPageBits = 10
const mostPageBits = 16
/** QEMU has some tens. */
const mostBlocks = 1024
/** Pages of all blocks: 1 TiB, for which the table's directory has 16 MiB. */
const mostPages = 2 ** 28
/** Leaves of the table that are filled: 512 MiB, for 256 GiB of bytes that are not zero. */
const mostLeaves = 2 ** 20
/** Subsections of the configuration, and capabilities: QEMU has a few. */
const mostCapabilities = 256

/** A guest's memory, or a device's: one name, one range of bytes. */
export interface RamBlock {
  readonly name: string
  /** In bytes. */
  readonly length: number
  /** Where it starts in the image, in bytes. */
  readonly start: number
}

export interface Stream {
  /** QEMU's name of the machine, e.g. pc-i440fx-7.2; empty where it is not told. */
  readonly machine: string
  readonly blocks: readonly RamBlock[]
  readonly pageSize: number
  /**
   * By the number of a page in the image: where its bytes start in the file; 0 for zeros; below 0 for a page filled
   * with one byte, less 1: −256 … −2.
   */
  readonly pages: PageTable
  /** What is missing: lines without a path. */
  readonly missing: readonly string[]
}

/** The stream does not go on as one. */
class Broken extends Error {}

const hex = (n: number): string => `0x${n.toString(16)}`

/** A name from the stream in a message, which is one line. */
export const printed = (name: string): string => name.replace(/[^ -~]/g, '?')

/**
 * Read a stream up to the end of its RAM.
 *
 * @param cursor stands at its magic
 * @throws StoreError where it has no RAM, or has it in a form that is not read
 */
export const readStream = (cursor: Cursor): Stream => new Reader(cursor).read()

class Reader {
  readonly #cursor: Cursor
  #machine = ''
  #pageSize = 4096
  #capabilities = new Set<string>()
  #blocks: RamBlock[] = []
  #pages = new PageTable(0)
  /** The block of the page before, which `continued` means. */
  #block: RamBlock | null = null
  #outside = 0
  readonly #missing: string[] = []

  constructor(cursor: Cursor) {
    this.#cursor = cursor
  }

  read(): Stream {
    const cursor = this.#cursor
    const why = this.#broken()
    if (this.#pages.pages === 0)
      throw new StoreError(
        `${cursor.path}: is a QEMU migration stream in which no RAM can be found: ${why ?? 'it names none'}`,
      )
    if (why !== null) this.#missing.push(`${why}: pages that do not come before are shown as zeros`)
    if (this.#outside)
      this.#missing.push(
        `${count(this.#outside, 'page')} outside the RAM that the stream names: left out`,
      )
    return {
      machine: this.#machine,
      blocks: this.#blocks,
      pageSize: this.#pageSize,
      pages: this.#pages,
      missing: this.#missing,
    }
  }

  /** Read all up to the end of the RAM; where it breaks before, what is said of that. */
  #broken(): string | null {
    try {
      this.#sections()
      return null
    } catch (error) {
      if (error instanceof CutShort)
        return `it ends at ${hex(this.#cursor.size)}, before the end of its RAM`
      if (error instanceof Broken) return error.message
      throw error
    }
  }

  #sections(): void {
    const cursor = this.#cursor
    cursor.skip(streamMagic.length)
    const version = cursor.u32()
    if (version !== streamVersion) throw new Broken(`its version is ${version}, not 3`)
    /** The RAM's section, once it has begun. */
    let ram: number | null = null
    for (;;) {
      const at = cursor.at
      const kind = cursor.u8()
      if (kind === section.configuration) this.#configuration()
      else if (kind === section.command) this.#command()
      else if (kind === section.start || kind === section.full) {
        const id = cursor.u32()
        const name = cursor.text()
        cursor.skip(8) // its instance and its version
        if (name !== 'ram')
          throw new Broken(
            `a section ${printed(name)} at ${hex(at)}, whose length is not told, comes before the end of the RAM`,
          )
        ram = id
        this.#ram()
      } else if (kind === section.part || kind === section.end) {
        const id = cursor.u32()
        if (id !== ram) throw new Broken(`a section of an unknown kind comes at ${hex(at)}`)
        this.#ram()
        if (kind === section.end) return
      } else throw new Broken(`no section begins at ${hex(at)}`)
      if (ram !== null && cursor.peek(1)[0] === section.footer) cursor.skip(5)
    }
  }

  /** The machine, and what the stream was made with. */
  #configuration(): void {
    const cursor = this.#cursor
    const length = cursor.u32()
    if (length > 256) throw new Broken("the machine's name is too long")
    this.#machine = printed(cursor.bytes(length).toString('latin1'))
    while (cursor.peek(1)[0] === section.subsection) {
      cursor.skip(1)
      const name = cursor.text()
      cursor.skip(4) // its version
      if (name === 'configuration/target-page-bits') {
        const bits = cursor.u32()
        if (bits < leastPageBits || bits > mostPageBits)
          throw new Broken(`pages of 2^${bits} bytes are none`)
        this.#pageSize = 2 ** bits
      } else if (name === 'configuration/capabilities') {
        const many = cursor.u32()
        if (many > mostCapabilities) throw new Broken('it has too many capabilities')
        for (let i = 0; i < many; i++) this.#capabilities.add(cursor.text())
      } else if (name === 'configuration/uuid') cursor.skip(16)
      else throw new Broken(`its configuration has an unknown part, ${printed(name)}`)
    }
  }

  #command(): void {
    const cursor = this.#cursor
    cursor.skip(2)
    cursor.skip(cursor.u16())
  }

  /** One section of the RAM: pages, up to a mark. */
  #ram(): void {
    const cursor = this.#cursor
    for (;;) {
      const word = cursor.u64()
      const mask = BigInt(this.#pageSize - 1)
      const flags = Number(word & mask)
      const offset = Number(word & ~mask)
      if (flags & flag.eos) return
      if (flags & flag.memSize) this.#blockList(offset)
      else if (flags & (flag.xbzrle | flag.compressed))
        throw new StoreError(
          `${cursor.path}: is a QEMU migration stream with compressed pages: dump the guest with ` +
            '`virsh dump --memory-only`, or migrate without the capabilities compress and xbzrle',
        )
      else if (flags & (flag.zero | flag.page)) this.#page(offset, flags)
      else if (flags !== flag.multifdFlush)
        throw new Broken(`no page begins at ${hex(cursor.at - 8)}`)
    }
  }

  #page(offset: number, flags: number): void {
    const cursor = this.#cursor
    if (!(flags & flag.continued)) {
      const name = cursor.text()
      this.#block = this.#blocks.find(block => block.name === name) ?? null
    }
    const where = flags & flag.zero ? cursor.u8() : cursor.at
    if (flags & flag.page) cursor.skip(this.#pageSize)
    const block = this.#block
    if (!block || offset + this.#pageSize > block.length) {
      this.#outside++
      return
    }
    const filling = where === 0 ? 0 : -where - 1
    this.#set((block.start + offset) / this.#pageSize, flags & flag.zero ? filling : where)
  }

  #set(page: number, where: number): void {
    this.#pages.set(page, where)
    if (this.#pages.leaves > mostLeaves)
      throw new StoreError(
        `${this.#cursor.path}: is a QEMU migration stream of more than 256 GiB of RAM: give a part of it, or a raw dump`,
      )
  }

  /** The blocks, each with its length, until they have the bytes of all. */
  #blockList(total: number): void {
    const cursor = this.#cursor
    if (this.#blocks.length > 0)
      throw new Broken(`a second list of RAM blocks is at ${hex(cursor.at - 8)}`)
    const isShared = this.#capabilities.has('x-ignore-shared')
    const isMapped = this.#capabilities.has('mapped-ram')
    const mapped: [block: RamBlock, header: MappedHeader][] = []
    const blocks: RamBlock[] = []
    const align = Math.max(alignment, this.#pageSize)
    let start = 0
    let end: unknown = null
    try {
      for (let left = total; left > 0;) {
        const name = cursor.text()
        const length = Number(cursor.u64())
        if (isShared) cursor.skip(8) // its address
        const pages = Math.ceil((start + length) / this.#pageSize)
        if (pages > mostPages || length > left || blocks.length === mostBlocks)
          throw new Broken(
            `its list of RAM blocks is broken at ${hex(cursor.at)}, or names more than 1 TiB`,
          )
        const block = { name, length, start }
        if (blocks.some(other => other.name === name))
          this.#missing.push(`it names its RAM block ${printed(name)} twice: the second is zeros`)
        blocks.push(block)
        start = Math.ceil((start + length) / align) * align
        left -= length
        if (isMapped) this.#passMapped(block, mapped)
      }
    } catch (error) {
      // Pages that lie before the break at places of their own are there.
      if (mapped.length === 0) throw error
      end = error
    }
    this.#blocks = blocks
    this.#pages = new PageTable(Math.ceil(start / this.#pageSize))
    if (isShared)
      this.#missing.push('memory that the guest shared with files is not in it: read those files')
    for (const [block, header] of mapped) this.#mappedPages(block, header)
    if (end !== null) throw end
  }

  /** Go over a block's pages, which lie at places of their own. */
  #passMapped(block: RamBlock, mapped: [block: RamBlock, header: MappedHeader][]): void {
    const cursor = this.#cursor
    const header = decodeMapped(cursor.bytes(mappedHeaderLength))
    if (header.pageSize !== this.#pageSize) throw new Broken('its pages are of two sizes')
    // Where there are none its memory is left out, as shared with a file.
    if (header.pages === 0) return
    if (header.pages < cursor.at) throw new Broken('the pages of a RAM block lie before its name')
    mapped.push([block, header])
    cursor.at = header.pages
    cursor.skip(block.length)
  }

  /** The pages of a block that lie at places of their own (mapped-ram), as its bitmap says. */
  #mappedPages(block: RamBlock, { bitmap, pages }: MappedHeader): void {
    const { path, fd, size } = this.#cursor
    const cursor = new Cursor(path, fd, size, bitmap)
    const many = Math.floor(block.length / this.#pageSize)
    const first = block.start / this.#pageSize
    let beyond = 0
    if (bitmap + Math.ceil(many / 8) > size) {
      this.#missing.push(
        `the map of pages of ${printed(block.name)} is beyond the end of the file: all are shown as zeros`,
      )
      return
    }
    for (let page = 0; page < many; page += 8 * bitmapPiece) {
      const bits = cursor.bytes(Math.min(bitmapPiece, Math.ceil((many - page) / 8)))
      for (const [i, byte] of bits.entries())
        for (let bit = 0; byte >> bit !== 0; bit++) {
          const number = page + 8 * i + bit
          if (((byte >> bit) & 1) === 0 || number >= many) continue
          const where = pages + number * this.#pageSize
          if (where + this.#pageSize <= size) this.#set(first + number, where)
          else beyond++
        }
    }
    if (beyond)
      this.#missing.push(
        `${count(beyond, 'page')} of ${printed(block.name)} beyond the end of the file: shown as zeros`,
      )
  }
}

/** Bytes of a bitmap that are looked at at a time. */
const bitmapPiece = 2 ** 16

/** Where a block's pages lie, with the capability mapped-ram: offsets in the file, in bytes. */
interface MappedHeader {
  readonly pageSize: number
  /** A bit for each page, the lowest first; those whose bit is 0 are zeros. */
  readonly bitmap: number
  readonly pages: number
}

const mappedHeaderLength = 28

/** Its version, before all else, is passed over: QEMU has one. */
const decodeMapped = (bytes: Buffer): MappedHeader => ({
  pageSize: Number(bytes.readBigUInt64BE(4)),
  bitmap: Number(bytes.readBigUInt64BE(12)),
  pages: Number(bytes.readBigUInt64BE(20)),
})
