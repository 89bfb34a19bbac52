/**
 * A guest's memory in a migration stream of QEMU's, alone (`virsh dump`, `migrate "exec:…"`) or behind libvirt's
 * header (`virsh save`): its RAM blocks one after another, in the stream's order, each page where it belongs. Nothing
 * is unpacked: pages are read where they lie.
 */
import fs from 'node:fs'
import { explain } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { Cursor, CutShort } from './cursor.js'
import type { Image, ImageOpener } from './image.js'
import { decodeSaveHeader, isSave, saveHeaderLength } from './libvirt-save.js'
import { printed, readStream, streamMagic, type Stream } from './qemu-stream.js'

const kind = 'QEMU migration stream'

class QemuImage implements Image {
  readonly kind = kind
  readonly length: number
  readonly notes: readonly string[]
  readonly doubts: readonly string[]

  constructor(
    readonly path: string,
    readonly fd: number,
    readonly stream: Stream,
    doubts: readonly string[],
  ) {
    this.length = stream.pages.pages * stream.pageSize
    this.notes = [describe(stream)]
    this.doubts = [...doubts, ...stream.missing]
  }

  read(bytes: Buffer, offset: number, length: number): void {
    const { pages, pageSize } = this.stream
    for (let done = 0; done < length;) {
      const within = (offset + done) % pageSize
      const n = Math.min(pageSize - within, length - done)
      const where = pages.get(Math.floor((offset + done) / pageSize))
      if (where > 0) this.#load(bytes, done, n, where + within)
      else bytes.fill(where === 0 ? 0 : -where - 1, done, done + n)
      done += n
    }
  }

  #load(bytes: Buffer, at: number, length: number, offset: number): void {
    for (let done = 0; done < length;) {
      let n: number
      try {
        n = fs.readSync(this.fd, bytes, at + done, length - done, offset + done)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EINTR') continue
        throw explain(this.path, error)
      }
      if (n === 0) throw new StoreError(`${this.path}: was truncated meanwhile`, 'EIO')
      done += n
    }
  }

  nextData(offset: number): { from: number; to: number } | null {
    const { pages, pageSize } = this.stream
    const first = pages.next(Math.floor(offset / pageSize), false)
    if (first === pages.pages) return null
    const to = pages.next(first, true) * pageSize
    return { from: Math.max(offset, first * pageSize), to }
  }

  close(): void {}
}

/** The most blocks that a note names, the largest first. */
const named = 4

/** What offsets mean: they are of blocks, not the guest's addresses. */
const describe = ({ machine, blocks }: Stream): string => {
  // Firmware's are many, and small.
  const holding = blocks.filter(({ length }) => length > 0).toSorted((a, b) => b.length - a.length)
  const list = holding
    .slice(0, named)
    .map(({ name, start }) => `${printed(name)} at 0x${start.toString(16)}`)
  const more = holding.length > named ? [`${holding.length - named} more`] : []
  return `a ${kind}${machine && ` of ${machine}`}: offsets are in its RAM blocks, ${[...list, ...more].join(', ')}`
}

/** Where the stream behind libvirt's header starts, and what is to be said of it. */
const behindHeader = (path: string, cursor: Cursor): { at: number; doubts: string[] } => {
  const { complete, packer, stream: at } = decodeSaveHeader(cursor.bytes(saveHeaderLength))
  if (packer)
    throw new StoreError(
      `${path}: is a libvirt save image packed with ${packer}: unpack its stream: ` +
        `tail -c +${at + 1} ${path} | ${packer} -dc > stream`,
    )
  cursor.at = at
  if (packer === undefined || !cursor.peek(streamMagic.length).equals(streamMagic))
    throw new StoreError(
      `${path}: is a libvirt save image of an unknown form: dump the guest with \`virsh dump --memory-only\``,
    )
  return { at, doubts: complete ? [] : ['libvirt did not finish this save image'] }
}

export const qemu: ImageOpener = {
  recognises: head => head.subarray(0, 4).equals(streamMagic) || isSave(head),
  open: (path, fd, size) => {
    const cursor = new Cursor(path, fd, size)
    try {
      const { at, doubts } = cursor.peek(streamMagic.length).equals(streamMagic)
        ? { at: 0, doubts: [] }
        : behindHeader(path, cursor)
      return new QemuImage(path, fd, readStream(new Cursor(path, fd, size, at)), doubts)
    } catch (error) {
      if (!(error instanceof CutShort)) throw error
      throw new StoreError(`${path}: is a ${kind} that ends before its RAM`)
    }
  },
}
