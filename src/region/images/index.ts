/**
 * The forms of files that are read as if they were unpacked. What is unpacked once serves all who open the file in
 * the same turn: a search for a layout, and then who reads.
 */
import fs from 'node:fs'
import { explain, openNow, statOf, versionOf, type Opened } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { gzip } from './gzip.js'
import type { Image, ImageOpener, UnpackProgress } from './image.js'
import { programs } from './program.js'
import { qemu } from './qemu.js'

const openers: readonly ImageOpener[] = [gzip, ...programs, qemu]

/** How many bytes are enough to know a form by. */
const headLength = 64
/** Forms within each other: some files make themselves when they are unpacked. */
const deepest = 4

/** An image that is open, and for how many. */
interface Kept {
  readonly image: Image
  users: number
}

const kept = new Map<string, Kept>()

/** Close what nobody has taken up again. */
const sweep = (): void => {
  for (const [key, { image, users }] of kept)
    if (users === 0) {
      kept.delete(key)
      image.close()
    }
}

/**
 * The image in a file, or the image in that; null where the file's bytes are what they are.
 *
 * @param size the file's, in bytes
 * @throws StoreError where it cannot be read, saying what to do
 */
export const openImage = (
  path: string,
  fd: number,
  size: number,
  progress?: UnpackProgress,
): Image | null => {
  const opener = openerOf(fd, size)
  if (!opener) return null
  const key = `${size} ${versionOf(statOf(path, fd))}`
  let found = kept.get(key)
  if (!found) {
    // Another that nobody uses takes room until the turn ends.
    sweep()
    found = { image: openChain(path, fd, size, opener, progress), users: 0 }
    kept.set(key, found)
  }
  return share(found)
}

const openerOf = (fd: number, size: number): ImageOpener | undefined => {
  const head = Buffer.alloc(Math.min(headLength, size))
  try {
    fs.readSync(fd, head, 0, head.length, 0)
  } catch {
    // A bad sector there hides no record elsewhere.
    return undefined
  }
  return openers.find(({ recognises }) => recognises(head))
}

/** The same open file once more, which stands at its start. */
const reopen = (path: string, fd: number): number => {
  try {
    return fs.openSync(`/proc/self/fd/${fd}`, fs.constants.O_RDONLY)
  } catch (error) {
    throw explain(path, error)
  }
}

/** Open a file's image, and what is in that, to the innermost. */
const openChain = (
  path: string,
  fd: number,
  size: number,
  first: ImageOpener,
  progress: UnpackProgress | undefined,
): Image => {
  const fds: number[] = []
  const images: Image[] = []
  const closeAll = (): void => {
    for (const image of images.toReversed()) image.close()
    for (const each of fds) fs.closeSync(each)
  }
  try {
    let opener: ImageOpener | undefined = first
    let within = { fd, size }
    while (opener) {
      if (images.length === deepest)
        throw new StoreError(`${path}: more than ${deepest} files within each other: unpack it`)
      const own = reopen(path, within.fd)
      fds.push(own)
      const image: Image = opener.open(path, own, within.size, progress)
      images.push(image)
      if (image.unpacked === undefined) break
      within = { fd: image.unpacked, size: image.length }
      opener = openerOf(within.fd, within.size)
    }
    return innermost(images, closeAll)
  } catch (error) {
    closeAll()
    throw error
  }
}

/** The last of some images, with what is to be said of all. */
const innermost = (images: readonly Image[], close: () => void): Image => {
  const image = images.at(-1)!
  return {
    length: image.length,
    kind: images.map(({ kind }) => kind).join(' of '),
    notes: images.flatMap(({ notes = [] }) => notes),
    doubts: images.flatMap(({ doubts = [] }) => doubts),
    ...(image.unpacked === undefined ? {} : { unpacked: image.unpacked }),
    read: (bytes, offset, length) => image.read(bytes, offset, length),
    nextData: offset => (image.nextData ? image.nextData(offset) : rest(image, offset)),
    close,
  }
}

const rest = ({ length }: Image, offset: number): { from: number; to: number } | null =>
  offset < length ? { from: offset, to: length } : null

/** One user's. */
const share = (found: Kept): Image => {
  found.users++
  return {
    ...found.image,
    close: () => {
      if (--found.users === 0) setImmediate(sweep)
    },
  }
}

/**
 * Open a file to look at what it is: of a compressed one what is in it.
 *
 * @param progress told how much of that has been unpacked
 * @throws StoreError as openNow, and where it cannot be unpacked
 */
export const openContent = (path: string, progress?: UnpackProgress): Opened => {
  const opened = openNow(path)
  const { fd, stat } = opened
  try {
    if (!stat.isFile()) return opened
    const image = openImage(path, fd, stat.size, progress)
    const own = image?.unpacked === undefined ? null : reopen(path, image.unpacked)
    image?.close()
    if (own === null) return opened
    fs.closeSync(fd)
    return { fd: own, stat: fs.fstatSync(own) }
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
}
