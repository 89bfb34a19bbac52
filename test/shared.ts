/**
 * Regions, cases and findings beside the project, where a machine has them: `../shared`, or what
 * PSTOREFS_SHARED names. Nothing of it is in the project, so tests that take from it skip where it is missing.
 */
import fs from 'node:fs'
import path from 'node:path'
import zlib from 'node:zlib'

const candidate = process.env.PSTOREFS_SHARED ?? path.resolve(import.meta.dirname, '../../shared')

/** The folder, or null where there is none. */
export const sharedFolder: string | null = fs.existsSync(candidate) ? candidate : null

/** Why a test that needs a folder of it is skipped; false where it is there. */
export const skipWithoutShared = (name: string): string | false =>
  sharedFolder && fs.existsSync(path.join(sharedFolder, name))
    ? false
    : `no folder ${name} in ../shared (PSTOREFS_SHARED names another place)`

/** A path in it. To be asked for only where {@link skipWithoutShared} is false. */
export const shared = (...names: string[]): string => {
  if (!sharedFolder) throw new Error('there is no ../shared')
  return path.join(sharedFolder, ...names)
}

/** A file in it, inflated where its name ends with .gz. */
export const readShared = (...names: string[]): Buffer => {
  const bytes = fs.readFileSync(shared(...names))
  return names.at(-1)!.endsWith('.gz') ? zlib.gunzipSync(bytes) : bytes
}
