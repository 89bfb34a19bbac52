/** An initramfs of a folder: a cpio archive in the form `newc`, the only one that Linux unpacks. */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** Numbers are 8 hexadecimal digits; names and bytes start at multiples of 4. */
const entry = (ino: number, name: string, mode: number, bytes: Uint8Array): Buffer[] => {
  const numbers = [ino, mode, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, name.length + 1, 0]
  const head = `070701${numbers.map(n => n.toString(16).padStart(8, '0')).join('')}${name}\0`
  return [
    Buffer.from(pad(head, head.length)),
    Buffer.from(bytes),
    Buffer.from(pad('', bytes.length)),
  ]
}

const pad = (text: string, length: number): string => text + '\0'.repeat(-length & 3)

/** Archive the folders, files and links below a folder, all root's. Names must be ASCII. */
export const cpioOf = async (folder: string): Promise<Buffer> => {
  const parts: Buffer[] = []
  const names = await readdir(folder, { recursive: true })
  // A folder comes before what is in it.
  for (const [ino, name] of names.toSorted().entries()) {
    const path = join(folder, name)
    const stat = await lstat(path)
    const bytes = stat.isFile()
      ? await readFile(path)
      : Buffer.from(stat.isSymbolicLink() ? await readlink(path) : '')
    parts.push(...entry(ino + 1, name, stat.mode, bytes))
  }
  parts.push(...entry(0, 'TRAILER!!!', 0, Buffer.alloc(0)))
  return Buffer.concat(parts)
}
