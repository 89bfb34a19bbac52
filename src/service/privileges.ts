/** Least privilege: root opens the sources, and an ordinary user serves them. */
import { execFileSync } from 'node:child_process'
import { StoreError } from '../pstore/errors.js'
import { errnoName, libc } from '../native/libc.js'
import { openLocks } from '../region/lock.js'

export interface Account {
  name: string
  uid: number
  gid: number
}

/**
 * Look up an account by its name.
 *
 * @throws StoreError where there is no such account, or only root could become that user
 */
export const findAccount = (name: string): Account => {
  const ask = (what: string): number => {
    try {
      // Node cannot query the system's name services. mount(8) clears PATH.
      const args = [what, '--', name]
      return Number(execFileSync('/usr/bin/id', args, { stdio: ['ignore', 'pipe', 'ignore'] }))
    } catch {
      throw new StoreError(`user ${name}: no such user`)
    }
  }
  const account = { name, uid: ask('-u'), gid: ask('-g') }
  const own = process.getuid!()
  if (own !== 0 && own !== account.uid)
    throw new StoreError(`user ${name}: only root can serve as another user`, 'EPERM')
  return account
}

/**
 * Become an ordinary user for good. Sources and their locks stay open. The kernel drops all capabilities
 * with the user id, and no program that is started later can give any back.
 */
export const becomeUser = ({ name, uid, gid }: Account): void => {
  if (process.getuid!() === uid) return
  openLocks()
  const errno = gainNothing()
  if (errno)
    throw new StoreError(
      `user ${name}: privileges cannot be given up for good (seccomp: ${errnoName(errno)})`,
    )
  process.setgroups!([gid])
  process.setgid!(gid)
  process.setuid!(uid)
}

const PR_SET_NO_NEW_PRIVS = 38
const SECCOMP_SET_MODE_FILTER = 1
const SECCOMP_FILTER_FLAG_TSYNC = 1
const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
/** BPF_RET, SECCOMP_RET_ALLOW: a filter of this one instruction allows everything. */
const allowAll = { code: 0x06, jt: 0, jf: 0, k: 0x7fff0000 }
/**
 * Keep all threads of this process from gaining privileges by a set-uid program or a file's capabilities.
 * PR_SET_NO_NEW_PRIVS does so for the calling thread only, and Node's own threads run already; a seccomp
 * filter that is synchronized to all threads takes the setting to them.
 *
 * @returns 0, or an errno; most likely the kernel has no seccomp filters
 */
const gainNothing = (): number => {
  const { prctl, seccomp, errno } = libc()
  const flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW
  const isDone =
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) === 0 &&
    seccomp(SECCOMP_SET_MODE_FILTER, flags, [allowAll]) === 0
  return isDone ? 0 : errno()
}
