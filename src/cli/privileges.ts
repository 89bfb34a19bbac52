/** Least privilege: what was opened as root is served as somebody else. */
import { execFileSync } from 'node:child_process'
import { StoreError } from '../pstore/errors.js'
import { openLocks } from '../region/lock.js'

export interface Account {
  name: string
  uid: number
  gid: number
}

/**
 * The account of that name.
 *
 * @throws StoreError where there is none, or where it is another's and we are not root
 */
export const findAccount = (name: string): Account => {
  const ask = (what: string): number => {
    try {
      // Node does not ask the system's name services. mount(8) leaves no PATH.
      const args = [what, '--', name]
      return Number(execFileSync('/usr/bin/id', args, { stdio: ['ignore', 'pipe', 'ignore'] }))
    } catch {
      throw new StoreError(`user ${name}: there is no such user`)
    }
  }
  const account = { name, uid: ask('-u'), gid: ask('-g') }
  const own = process.getuid!()
  if (own !== 0 && own !== account.uid)
    throw new StoreError(`user ${name}: only root can serve as another user`, 'EPERM')
  return account
}

/**
 * Become an ordinary user for good. Sources and their locks stay open; the kernel takes all capabilities
 * away with the user id.
 */
export const becomeUser = ({ uid, gid }: Account): void => {
  if (process.getuid!() === uid) return
  openLocks()
  process.setgroups!([gid])
  process.setgid!(gid)
  process.setuid!(uid)
}
