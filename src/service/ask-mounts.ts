/** Asking this machine's mounts how they are: none can keep the one who asks waiting. */
import { spawn } from 'node:child_process'
import { readPathAttribute } from '../native/attribute.js'
import { listMounts, type MountEntry } from '../fuse/mounts.js'
import { assertStoreError } from '../pstore/errors.js'
import { Shape } from '../pstore/shape.js'
import { mostStatus, parseStatus, statusAttribute, type MountStatus } from './status.js'

/**
 * What a mount answers:
 * - `answers`: what it says is in `status`
 * - `silent`: not in time
 * - `dead`: nobody serves it any more
 * - `denied`: it is another user's
 * - `mute`: it does not know the question, as with transport=libfuse
 */
export type MountState = 'answers' | 'silent' | 'dead' | 'denied' | 'mute'

export interface MountAnswer extends MountEntry {
  readonly state: MountState
  readonly status: MountStatus | null
}

/** How long a mount may take for an answer, in ms; most of it is for the process that asks to start. */
const patience = 10_000

const stateOf: { readonly [errno: string]: MountState } = {
  ENOTCONN: 'dead',
  ECONNABORTED: 'dead',
  EACCES: 'denied',
  EPERM: 'denied',
}

/** Ask a mount, in the process that may wait for ever, and print what it says. */
export const printAnswer = (mountpoint: string): void => {
  process.stdout.write(JSON.stringify(readPathAttribute(mountpoint, statusAttribute, mostStatus)))
}

/**
 * Who waits for a file system that does not answer cannot be ended, by signals neither. So another process asks, and is
 * left behind where that happens.
 *
 * @param command runs {@link printAnswer} for a mountpoint
 */
const ask = async (
  mountpoint: string,
  command: readonly string[],
): Promise<Pick<MountAnswer, 'state' | 'status'>> => {
  const child = spawn(command[0]!, [...command.slice(1), mountpoint], {
    stdio: ['ignore', 'pipe', 'ignore'],
    cwd: '/',
    detached: true,
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  const isDone = await new Promise<boolean>(resolve => {
    const timer = setTimeout(() => resolve(false), patience)
    const done = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    child.on('error', done).on('close', done)
  })
  if (!isDone) {
    child.kill('SIGKILL')
    child.stdout.destroy()
    child.unref()
    return { state: 'silent', status: null }
  }
  try {
    const answer = Shape.parse(said, mountpoint)
    if (answer.has('errno'))
      return { state: stateOf[answer.member('errno').text()] ?? 'mute', status: null }
    const status = parseStatus(answer.member('text').text(), mountpoint)
    return { state: 'answers', status }
  } catch (error) {
    assertStoreError(error)
    return { state: 'mute', status: null }
  }
}

/** How many are asked at a time. */
const atATime = 8

/**
 * Ask all mounts of this program that this process sees.
 *
 * @param command begins the command that asks one
 */
export const askMounts = async (command: readonly string[]): Promise<MountAnswer[]> => {
  const left = listMounts()
  const answers: MountAnswer[] = []
  const askSome = async (): Promise<void> => {
    for (let mount = left.shift(); mount; mount = left.shift())
      answers.push({ ...mount, ...(await ask(mount.mountpoint, command)) })
  }
  await Promise.all(Array.from({ length: atATime }, askSome))
  return answers.toSorted((a, b) => (a.mountpoint < b.mountpoint ? -1 : 1))
}
