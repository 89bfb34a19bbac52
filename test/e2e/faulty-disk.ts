/** A disk that can be made to fail: a file system with one file on it. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { Test } from 'tap'
import { folder, run } from '../program.js'

export interface FaultyDisk {
  /** The file. */
  readonly region: string
  /** @param how as faulty.ts takes it: `FROM TO` in bytes, `full`; or nothing, and it is well */
  fail(how: string): void
}

/** @param make makes what is on the disk, by its path */
export const faultyDisk = async (t: Test, make: (path: string) => void): Promise<FaultyDisk> => {
  const home = folder(t)
  const [backing, mountpoint, control] = ['backing', 'disk', 'control'].map(of => `${home}/${of}`)
  make(backing)
  fs.mkdirSync(mountpoint)
  fs.writeFileSync(control, '')
  const helper = path.join(import.meta.dirname, 'faulty.js')
  const child = spawn(process.execPath, [helper, backing, mountpoint, control], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => {
    run('fusermount3', ['-u', '-z', mountpoint])
    child.kill('SIGKILL')
  })
  await new Promise(resolve => child.stdout.once('data', resolve))
  return {
    region: `${mountpoint}/region.img`,
    fail: how => fs.writeFileSync(control, how),
  }
}
