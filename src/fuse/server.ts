/**
 * The kernel's requests, answered by the tree. A node of the protocol is an inode of the tree.
 *
 * Each request gets one reply, or none where none is due; a reply that the kernel does not take is answered once
 * more, with EIO, so that no caller waits for ever (native-notes/kernel-fuse.md).
 */
import os from 'node:os'
import { StoreError } from '../pstore/errors.js'
import { whenDone, type Soon } from '../pstore/soon.js'
import { now } from '../pstore/time.js'
import { isExtended } from '../tree/extended.js'
import { Tree, type Entry, type OpenFile } from '../tree/tree.js'
import { kindOf, kinds, type KindName } from './kinds.js'
import {
  decodeForget,
  decodeInit,
  decodeSetattr,
  isAboutHandle,
  isForCaller,
  longestName,
  Malformed,
  Reply,
  Request,
  requestRoom,
} from './protocol.js'

const { errno } = os.constants

/** An errno that this side answers with. */
class Refusal extends Error {
  constructor(readonly number: number) {
    super()
  }
}

const refuse = (name: keyof typeof errno): never => {
  throw new Refusal(errno[name])
}

/** What the server needs beside the tree. */
export interface ServerOptions {
  /**
   * Hand a reply, in pieces, to the kernel at once.
   *
   * @returns the errno with which it is not taken; 0: it was
   */
  send: (reply: readonly Buffer[]) => number
  /** Called with a problem of a source, or of this program. */
  report: (problem: string) => void
  /** Called with each request, in words. */
  trace?: ((line: string) => void) | undefined
}

/**
 * What is put behind a reply's header; null: nothing. There is one {@link Reply}, and two promises that are kept
 * in one turn go on in turns: it is filled and sent in one step, so that no caller gets another one's answer.
 */
type Answer = ((reply: Reply) => Reply) | null

/** Is a file's text longer than Linux's st_size, or may it be? Then nothing of it may be read by its size. */
const isLonger = ({ content, size }: OpenFile): boolean =>
  !('length' in content) || (content.length as number) > size

/** A text in so much room; in none its length. */
const textIn = (text: string, room: number): Answer => {
  if (room > 0 && Buffer.byteLength(text) > room) return refuse('ERANGE')
  return reply => reply.text(text, room)
}

/** An open folder. */
interface OpenFolder {
  /** As they were when the listing of it began. */
  entries: readonly Entry[]
  isBegun: boolean
}

const executable = 0o111
const execute = 1
/** lseek(2)'s `SEEK_DATA`; the other that arrives is `SEEK_HOLE`. */
const seekData = 3

export class Server {
  /** Where the next request is put. */
  readonly room = Buffer.alloc(requestRoom)
  readonly #request = new Request(this.room)
  readonly #reply = new Reply()
  readonly #files = new Map<number, OpenFile>()
  readonly #folders = new Map<number, OpenFolder>()
  #lastHandle = 0

  constructor(
    readonly tree: Tree,
    readonly options: ServerOptions,
  ) {}

  /** How many files and folders are open. */
  get opened(): number {
    return this.#files.size + this.#folders.size
  }

  /**
   * Answer the request of so many bytes in {@link room}.
   *
   * @returns a promise where another thread's answer is waited for; it never rejects
   */
  handle(length: number): Promise<void> | undefined {
    const request = this.#request
    if (!request.begin(length)) {
      this.options.report(`a request of ${length} bytes cannot be read`)
      return
    }
    const { code, unique } = request
    const kind = kindOf(code)
    this.options.trace?.(`${kind ?? code} node ${request.node}, ${length} bytes`)
    const isSilent = kind !== undefined && kinds[kind].reply === null
    const fail = (error: unknown): void => this.#fail(unique, error)
    try {
      const answer = this.#answer(kind)
      if (isSilent) return
      if (answer instanceof Promise)
        return answer.then(late => this.#send(unique, late)).catch(fail)
      this.#send(unique, answer)
    } catch (error) {
      if (!isSilent) fail(error)
    }
  }

  #send(unique: bigint, answer: Answer): void {
    const reply = this.#reply.begin()
    this.#write(unique, (answer ? answer(reply) : reply).end(unique))
  }

  /** An unforeseen error is reported whole. An errno tells the caller enough, but for EIO and EMFILE. */
  #fail(unique: bigint, error: unknown): void {
    let number = errno.EIO
    if (error instanceof Refusal) number = error.number
    else if (error instanceof StoreError) {
      number = errno[error.code]
      if (error.code === 'EIO' || error.code === 'EMFILE') this.options.report(error.message)
    } else if (!(error instanceof Malformed)) {
      const { stack, message } = error as Error
      this.options.report(stack ?? message)
    }
    this.#write(unique, this.#reply.begin().end(unique, number))
  }

  #write(unique: bigint, reply: Buffer[]): void {
    const refused = this.options.send(reply)
    // A caller who was killed meanwhile waits no more, and a file system that is gone has none.
    if (refused === 0 || refused === errno.ENOENT || refused === errno.ENODEV) return
    const length = reply.reduce((sum, piece) => sum + piece.length, 0)
    this.options.report(`a reply of ${length} bytes was refused (errno ${refused})`)
    this.options.send(this.#reply.begin().end(unique, errno.EIO))
  }

  /** @throws Refusal, StoreError, Malformed */
  #answer(kind: KindName | undefined): Soon<Answer> {
    const request = this.#request
    if (kind === undefined) return refuse('ENOSYS')
    if (request.room < kinds[kind].least) throw new Malformed(`${kind} of ${request.room} bytes`)
    return this.#operations[kind](request, request.node)
  }

  #nextHandle(): number {
    return ++this.#lastHandle
  }

  #file(handle: number): OpenFile {
    return this.#files.get(handle) ?? refuse('EBADF')
  }

  readonly #refused = (name: keyof typeof errno) => (): never => refuse(name)

  /** What of a request is needed after a promise must be read before it: the next one takes its place. */
  readonly #operations: {
    readonly [kind in KindName]: (request: Request, node: number) => Soon<Answer>
  } = {
    INIT: request => {
      const agreed = decodeInit(request) ?? refuse('EPROTO')
      return reply => reply.init(agreed)
    },

    DESTROY: () => null,

    LOOKUP: (request, parent) => {
      // fs/libfs.c, simple_lookup; FUSE itself passes on longer ones. The last byte is the zero.
      if (request.room > longestName + 1) return refuse('ENAMETOOLONG')
      return whenDone(this.tree.lookup(parent, request.name(0)), attributes => {
        this.tree.hold(attributes.ino)
        return reply => reply.entry(attributes, !this.tree.isRendered(attributes.ino))
      })
    },

    FORGET: request => this.#forget(request),
    BATCH_FORGET: request => this.#forget(request),

    GETATTR: (request, node) => {
      // lseek(SEEK_END) asks by its descriptor, fstat(2) does not: in Linux ftrace has no end to seek from.
      const file = isAboutHandle(request) ? this.#files.get(request.u64(8)) : undefined
      if (file && isLonger(file)) return refuse('EINVAL')
      return whenDone(this.tree.attributes(node), found => reply => reply.attributes(found))
    },

    SETATTR: (request, node) =>
      whenDone(
        this.tree.change(node, decodeSetattr(request, now())),
        changed => reply => reply.attributes(changed),
      ),

    OPEN: (_, node) =>
      whenDone(this.tree.open(node), file => {
        const handle = this.#nextHandle()
        this.#files.set(handle, file)
        return reply => reply.file(handle)
      }),

    READ: request => {
      const file = this.#file(request.u64(0))
      // Linux's pstorefs has no sendfile(2) for ftrace: by its st_size it would be cut.
      if (isLonger(file) && !isForCaller(request)) return refuse('EINVAL')
      const offset = request.u64(8)
      const most = request.u32(16)
      return reply => reply.data(most, (from, length) => file.content.slice(offset + from, length))
    },

    RELEASE: request => {
      const handle = request.u64(0)
      this.#files.get(handle)?.close()
      this.#files.delete(handle)
      return null
    },

    LSEEK: request => {
      const file = this.#file(request.u64(0))
      const offset = request.u64(8)
      const { size } = file.attributes()
      if (isLonger(file)) return refuse('EINVAL')
      if (offset >= size) return refuse('ENXIO')
      const found = request.u32(16) === seekData ? offset : size
      return reply => reply.number(found)
    },

    OPENDIR: (_, node) =>
      whenDone(this.tree.list(node), entries => {
        const handle = this.#nextHandle()
        this.#folders.set(handle, { entries, isBegun: false })
        return reply => reply.folder(handle)
      }),

    READDIR: (request, node) => {
      const folder = this.#folders.get(request.u64(0)) ?? refuse('EBADF')
      const first = request.u64(8)
      const most = request.u32(16)
      // After rewinddir(3) there is what is there by then.
      const isAgain = first === 0 && folder.isBegun
      return whenDone(isAgain ? this.tree.list(node) : folder.entries, entries => {
        folder.entries = entries
        folder.isBegun = true
        return reply => {
          for (let i = first; i < entries.length; i++) {
            const { name, ino, mode } = entries[i]!
            if (!reply.dirent(name, ino, mode, i + 1, most)) break
          }
          return reply
        }
      })
    },

    RELEASEDIR: request => {
      this.#folders.delete(request.u64(0))
      return null
    },

    UNLINK: (request, parent) => whenDone(this.tree.unlink(parent, request.name(0)), () => null),

    // Asked only without default_permissions: all is allowed but to execute a file that nobody may execute.
    ACCESS: (request, node) => {
      if (!(request.u32(0) & execute)) return null
      return whenDone(this.tree.attributes(node), ({ mode }) =>
        mode & executable ? null : refuse('EACCES'),
      )
    },

    STATFS: () => {
      const usage = this.tree.usage()
      return reply => reply.statfs(usage)
    },

    // `ls -l` asks each file for what others keep there: refused as Linux's pstorefs does, it does not ask again.
    GETXATTR: (request, node) => {
      const name = request.name(8)
      if (!isExtended(name)) return refuse('EOPNOTSUPP')
      const room = request.u32(0)
      return whenDone(this.tree.attribute(node, name), value => textIn(value, room))
    },

    LISTXATTR: (request, node) =>
      textIn(
        this.tree
          .attributeNames(node)
          .map(name => `${name}\0`)
          .join(''),
        request.u32(0),
      ),

    // Whoever waits is answered when the look that was begun has ended.
    INTERRUPT: () => null,
    NOTIFY_REPLY: () => null,

    // Refused by Linux's pstorefs, with its errnos (test/fixtures/fsops.txt).
    WRITE: this.#refused('EINVAL'),
    FSYNC: this.#refused('EINVAL'),
    CREATE: this.#refused('EACCES'),
    MKDIR: this.#refused('EPERM'),
    MKNOD: this.#refused('EPERM'),
    SYMLINK: this.#refused('EPERM'),
    LINK: this.#refused('EPERM'),
    RMDIR: this.#refused('EPERM'),
    RENAME: this.#refused('EPERM'),
    RENAME2: this.#refused('EPERM'),
  }

  #forget(request: Request): null {
    for (const [node, times] of decodeForget(request)) this.tree.forget(node, times)
    return null
  }

  /** The file system is gone, with all that was open. */
  end(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
    this.#folders.clear()
  }
}
