/** This machine, as an archive and those to whom it is sent name it. */
import crypto from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import { openFile, readToEnd } from './open.js'

export interface Host {
  readonly name: string
  /** The same from boot to boot, and no other machine's; null where the machine has no such number. */
  readonly id: string | null
}

/** Of this program, for {@link Host.id}; made once by `systemd-id128 new`. */
export const application = Buffer.from('6892aaaa529f4b4b893cc88eb3b01368', 'hex')

/**
 * An id of a machine for one program: machine-id(5) itself should not leave the machine. The same as
 * `systemd-id128 machine-id --app-specific=` makes (sd_id128_get_machine_app_specific(3)).
 */
export const idFor = (machine: string, of: Buffer): string => {
  const hash = crypto.createHmac('sha256', Buffer.from(machine, 'hex')).update(of).digest()
  const id = hash.subarray(0, 16)
  // A UUID's version and variant.
  id[6] = (id[6]! & 0x0f) | 0x40
  id[8] = (id[8]! & 0x3f) | 0x80
  return id.toString('hex')
}

const file = '/etc/machine-id'

/** Null where there is none, as in an initramfs, or none yet (`uninitialized`). */
const machineId = (): string | null => {
  try {
    const { fd, stat } = openFile(file)
    try {
      return /^[\da-f]{32}$/m.exec(readToEnd(file, fd, stat, 4096).toString('latin1'))?.[0] ?? null
    } finally {
      fs.closeSync(fd)
    }
  } catch {
    return null
  }
}

export const thisHost = (): Host => {
  const machine = machineId()
  return { name: os.hostname(), id: machine === null ? null : idFor(machine, application) }
}
