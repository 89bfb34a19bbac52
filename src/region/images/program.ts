/**
 * Forms that a program of the system unpacks, which runs beside this one: its text is read as it comes, so that a
 * bomb is stopped where it is too much.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { libc } from '../../native/libc.js'
import { explain } from '../../native/open.js'
import { Temporary } from '../../native/temporary.js'
import { StoreError } from '../../pstore/errors.js'
import type { ImageOpener } from './image.js'
import { unpack, type Unpacking } from './unpacked.js'

const chunkSize = 2 ** 18
/** AF_UNIX, SOCK_STREAM with SOCK_CLOEXEC. */
const unixFamily = 1
const streamSocket = 1 | 0o2000000
/** As lseek(2) has it: the program and this one read by one open file. */
const seekCurrent = 1
/** What a shell says of a program that is not there. */
const missing = 127
/** What programs put before a message. */
const saysItself = /^(\w+: )?((\(stdin\)|\/\*stdin\*\\ ?): ?)?/
/** Run a program, and say its exit code behind its messages. */
const script = '"$@"; echo " $?" >&2'
/** mount(8) clears PATH. A window of xz's may have 4 GiB: far more than -9 makes is refused. */
const environment = (): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
  XZ_DEFAULTS: '--memlimit-decompress=256MiB',
})

/** A form. */
interface Form {
  /** What its files are called. */
  readonly kind: string
  /** What they begin with: any of these. */
  readonly magics: readonly string[]
  readonly program: string
  /** What brings the program. */
  readonly debian: string
}

const forms: readonly Form[] = [
  { kind: 'xz', magics: ['\xfd7zXZ\0'], program: 'xz', debian: 'xz-utils' },
  // A frame, or one to be skipped.
  { kind: 'zstd', magics: ['\x28\xb5\x2f\xfd', 'P*M\x18'], program: 'zstd', debian: 'zstd' },
  { kind: 'bzip2', magics: ['BZh'], program: 'bzip2', debian: 'bzip2' },
  // Its own frames, and the kernel's.
  { kind: 'lz4', magics: ['\x04"M\x18', '\x02!L\x18'], program: 'lz4', debian: 'lz4' },
  { kind: 'lzop', magics: ['\x89LZO\0\r\n\x1a\n'], program: 'lzop', debian: 'lzop' },
]

class Program implements Unpacking {
  readonly #text: number
  readonly #messages: Temporary
  readonly #bytes = Buffer.allocUnsafe(chunkSize)
  trouble: string | null = null

  /** @param fd is read from where it stands */
  constructor(
    readonly path: string,
    readonly fd: number,
    readonly form: Form,
  ) {
    const pair = new Int32Array(2)
    if (libc().socketpair(unixFamily, streamSocket, 0, pair) !== 0)
      throw new StoreError(`${path}: cannot be unpacked: no socket`, 'EMFILE')
    const [ours = -1, theirs = -1] = pair
    this.#text = ours
    this.#messages = new Temporary(path)
    const args = ['-c', script, 'sh', form.program, '-dc']
    // Its output ends where the shell does, at the latest; that it has ended is found out in some later turn.
    const stdio = [fd, theirs, this.#messages.fd]
    const child = spawn('/bin/sh', args, { stdio, env: environment() })
    child.on('error', () => {}).unref()
    fs.closeSync(theirs)
  }

  get taken(): number {
    return libc().lseek(this.fd, 0, seekCurrent)
  }

  next(): Buffer | null {
    let n: number
    do n = this.#read()
    while (n < 0)
    if (n === 0) this.#finish()
    return n === 0 ? null : this.#bytes.subarray(0, n)
  }

  /** Less than 0 where a signal came first. */
  #read(): number {
    try {
      return fs.readSync(this.#text, this.#bytes, 0, chunkSize, null)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EINTR') return -1
      throw explain(this.path, error)
    }
  }

  #finish(): void {
    const { kind, program, debian } = this.form
    const bytes = Buffer.alloc(4096)
    const said = bytes.toString('latin1', 0, fs.readSync(this.#messages.fd, bytes, 0, 4096, 0))
    const [, messages = said, status = '127'] = /^(.*?) (\d+)\n$/s.exec(said) ?? []
    if (Number(status) === missing)
      throw new StoreError(
        `${this.path}: is a ${kind} file: install ${program} (Debian: ${debian}), or unpack it elsewhere`,
      )
    if (status === '0') return
    const [first = ''] = messages.trim().split('\n')
    const why = first.replace(saysItself, '') || `exit code ${status}`
    this.trouble = `${program}: ${why}`
  }

  end(): void {
    // Where it goes on, it finds that nobody reads it.
    fs.closeSync(this.#text)
    this.#messages.close()
  }
}

export const programs: readonly ImageOpener[] = forms.map(form => ({
  recognises: head => form.magics.some(magic => head.toString('latin1', 0, magic.length) === magic),
  open: (path, fd, size, progress) =>
    unpack(path, form.kind, new Program(path, fd, form), size, progress),
}))
