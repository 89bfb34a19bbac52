/** What a mount says of itself to `pstorefs status`: an extended attribute of its root, in JSON. */
import { setTimeout as sleep } from 'node:timers/promises'
import { assertStoreError, type StoreError } from '../pstore/errors.js'
import type { Failure } from '../pstore/select.js'
import { Shape } from '../pstore/shape.js'
import type { Served } from './served.js'

/** An attached backend. */
export interface BackendStatus {
  readonly name: string
  readonly source: string
  readonly readOnly: boolean
  /** How many dumps are in it: of crashes that nobody has taken out yet; null: it does not answer. */
  readonly dumps: number | null
  /** Why it cannot be read; null: it can, or does not answer. */
  readonly problem: string | null
  /** Its damaged zones, in words: those that are known of by now. */
  readonly damage: readonly string[]
}

export interface MountStatus {
  readonly pid: number
  readonly backends: readonly BackendStatus[]
  /** Those that are not attached, and why. */
  readonly failed: readonly { readonly name: string; readonly why: string }[]
  /** How many more there are: an attribute has no room for all of a large fleet, and what is wrong comes first. */
  readonly more: number
}

/** The root's attribute. It is in no list of attributes: copies need not have it. */
export const statusAttribute = 'user.pstore.status'

/** How long a backend may take to say which records it has, in ms. */
const patience = 1000

/** The most bytes that Linux gives of an attribute (XATTR_SIZE_MAX). */
export const mostStatus = 65536

const lookAt = async (
  backend: Served,
  source: string,
  damage: readonly string[],
): Promise<BackendStatus> => {
  const { name, readOnly } = backend
  let dumps: number | null = null
  let problem: string | null = null
  try {
    const names = await Promise.race([backend.names(), sleep(patience, null)])
    dumps = names && names.filter(name => name.startsWith('dmesg-')).length
  } catch (error) {
    assertStoreError(error)
    problem = (error as StoreError).message
  }
  return { name, source, readOnly, dumps, problem, damage }
}

/** Is something wrong with a backend, or has its machine crashed? */
export const isNotable = ({ dumps, problem, damage }: BackendStatus): boolean =>
  dumps !== 0 || problem !== null || damage.length > 0

/** @param backends each with its source, and what is known of its damage */
export const makeStatus = async (
  backends: readonly (readonly [Served, source: string, damage: readonly string[]])[],
  failures: readonly Failure[],
): Promise<string> => {
  const all = await Promise.all(backends.map(one => lookAt(...one)))
  const failed = failures.map(({ name, error }) => ({ name, why: error.message }))
  const status = { pid: process.pid, backends: all, failed, more: 0 }
  const text = JSON.stringify(status)
  return Buffer.byteLength(text) <= mostStatus ? text : cut(status)
}

/** A status that is not too long. */
const cut = (all: MountStatus): string => {
  const backends = all.backends.toSorted((a, b) => Number(isNotable(b)) - Number(isNotable(a)))
  const total = backends.length + all.failed.length
  let status = { ...all, backends, failed: [...all.failed] }
  for (;;) {
    const text = JSON.stringify(status)
    if (Buffer.byteLength(text) <= mostStatus) return text
    const [some, others] = [status.backends, status.failed].map(list =>
      Math.floor(list.length / 2),
    ) as [number, number]
    // Those that fail are few.
    if (some > 0) status = { ...status, backends: status.backends.slice(0, some) }
    else status = { ...status, failed: status.failed.slice(0, others) }
    status.more = total - status.backends.length - status.failed.length
  }
}

/** @throws StoreError where a text is no status: whoever serves a mount may say what they like */
export const parseStatus = (text: string, mountpoint: string): MountStatus => {
  const it = Shape.parse(text, mountpoint)
  return {
    pid: it.member('pid').count(),
    backends: it
      .member('backends')
      .items()
      .map(one => ({
        name: one.member('name').text(),
        source: one.member('source').text(),
        readOnly: one.member('readOnly').flag(),
        dumps: one.member('dumps').orNull(dumps => dumps.count()),
        problem: one.member('problem').orNull(problem => problem.text()),
        damage: one
          .member('damage')
          .items()
          .map(line => line.text()),
      })),
    failed: it
      .member('failed')
      .items()
      .map(one => ({ name: one.member('name').text(), why: one.member('why').text() })),
    more: it.member('more').count(),
  }
}
