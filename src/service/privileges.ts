/** Least privilege: what was opened as root is served as somebody else. */
import { execFileSync } from 'node:child_process'
import { StoreError } from '../pstore/errors.js'
import { errnoName, loadLibc } from '../native/libc.js'
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
 * away with the user id, and no program that is started from now on gives any back.
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
/** A filter of one instruction: BPF_RET, SECCOMP_RET_ALLOW. */
const allowAll = { code: 0x06, jt: 0, jf: 0, k: 0x7fff0000 }
/** seccomp(2) by its number, as libc has no function for it; newer architectures share one list. */
const seccomp: { [arch: string]: number } = {
  x64: 317,
  ia32: 354,
  arm: 383,
  ppc64: 358,
  s390x: 348,
}

/**
 * Have no thread of this process gain anything from a set-uid program or a file's capabilities. The kernel
 * has that for each thread by itself (PR_SET_NO_NEW_PRIVS), and Node's own threads run already; but one
 * that gives all threads its filter gives them that as well.
 *
 * @returns 0, or an errno: the kernel has no seccomp filters, most likely
 */
const gainNothing = (): number => {
  const { koffi, libc } = loadLibc()
  const prctl = libc.func(
    'int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)',
  )
  const instruction = koffi.struct({ code: 'uint16', jt: 'uint8', jf: 'uint8', k: 'uint32' })
  const program = koffi.struct({ len: 'uint16', filter: koffi.pointer(instruction) })
  const syscall = libc.func('syscall', 'long', ['long', 'long', 'long', koffi.pointer(program)])
  const flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW
  const isDone =
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) === 0 &&
    syscall(seccomp[process.arch] ?? 277, SECCOMP_SET_MODE_FILTER, flags, {
      len: 1,
      filter: [allowAll],
    }) === 0
  return isDone ? 0 : koffi.errno()
}
