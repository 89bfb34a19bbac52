/** The kinds of requests of the kernel's FUSE protocol (include/uapi/linux/fuse.h, fs/fuse/dir.c). */

/** A kind of request: its number, the least bytes behind the header, and what its reply takes. */
interface Kind {
  readonly code: number
  /** Bytes that every request of this kind has behind its header; names and lists may follow. */
  readonly least: number
  /** Bytes of the reply behind its header; `most`: up to what was asked for. Null: there is no reply. */
  readonly reply: number | 'most' | null
}

export const entryOut = 128
export const attrOut = 104

/** The requests that this side knows. All others are refused with ENOSYS, and the kernel stops asking. */
export const kinds = {
  LOOKUP: { code: 1, least: 1, reply: entryOut },
  FORGET: { code: 2, least: 8, reply: null },
  GETATTR: { code: 3, least: 16, reply: attrOut },
  SETATTR: { code: 4, least: 88, reply: attrOut },
  SYMLINK: { code: 6, least: 2, reply: entryOut },
  MKNOD: { code: 8, least: 17, reply: entryOut },
  MKDIR: { code: 9, least: 9, reply: entryOut },
  UNLINK: { code: 10, least: 1, reply: 0 },
  RMDIR: { code: 11, least: 1, reply: 0 },
  RENAME: { code: 12, least: 10, reply: 0 },
  LINK: { code: 13, least: 9, reply: entryOut },
  OPEN: { code: 14, least: 8, reply: 16 },
  READ: { code: 15, least: 40, reply: 'most' },
  WRITE: { code: 16, least: 40, reply: 8 },
  STATFS: { code: 17, least: 0, reply: 80 },
  RELEASE: { code: 18, least: 24, reply: 0 },
  FSYNC: { code: 20, least: 16, reply: 0 },
  GETXATTR: { code: 22, least: 9, reply: 'most' },
  LISTXATTR: { code: 23, least: 8, reply: 'most' },
  INIT: { code: 26, least: 16, reply: 64 },
  OPENDIR: { code: 27, least: 8, reply: 16 },
  READDIR: { code: 28, least: 40, reply: 'most' },
  RELEASEDIR: { code: 29, least: 24, reply: 0 },
  ACCESS: { code: 34, least: 8, reply: 0 },
  CREATE: { code: 35, least: 17, reply: entryOut + 16 },
  INTERRUPT: { code: 36, least: 8, reply: null },
  DESTROY: { code: 38, least: 0, reply: 0 },
  NOTIFY_REPLY: { code: 41, least: 0, reply: null },
  BATCH_FORGET: { code: 42, least: 8, reply: null },
  RENAME2: { code: 45, least: 18, reply: 0 },
  LSEEK: { code: 46, least: 24, reply: 8 },
} as const satisfies { [name: string]: Kind }

export type KindName = keyof typeof kinds

const named: readonly (KindName | undefined)[] = (() => {
  const byCode: (KindName | undefined)[] = []
  for (const [name, { code }] of Object.entries(kinds)) byCode[code] = name as KindName
  return byCode
})()

/** The kind of a code; undefined for one that is not known here. */
export const kindOf = (code: number): KindName | undefined => named[code]
