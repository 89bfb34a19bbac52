/**
 * The names of records that were copied out of a pstore: `TYPE-BACKEND-ID`, `.enc.z` where they are still compressed.
 *
 * Source: doc/formats.md 2.1; fs/pstore/inode.c (pstore_mkfile).
 */
import {
  isCompressedName,
  parseFileName,
  recordTypes,
  type RecordType,
} from '../../pstore/types.js'

/** What a copy's name says. */
export interface CopyName {
  readonly type: RecordType
  /** `TYPE-BACKEND`, as the name has it. */
  readonly label: string
  readonly id: bigint
  /** As of NameParts.copy. */
  readonly copy: number | null
  readonly compressed: boolean
}

/** What begins a name, the longest first: `powerpc-ofw` before what is shorter. */
const types = [...recordTypes, 'ttyprobe'].toSorted((a, b) => b.length - a.length)
/** A backend: nothing that could be taken for a path, or upset a terminal. */
const backend = /^[\w.][\w.-]{0,63}$/
/** Linux before 3.19 gave these no number, as there is one of each. */
const unnumbered = /^(?:console|ftrace)-(?:ramoops|efi|erst)$/
/** What programs append that show files of text only. */
const added = '.txt'

/** What a file's name says of the record that it is a copy of; null where it is no record's name. */
export const decodeCopyName = (file: string): CopyName | null => {
  const name = file.endsWith(added) ? file.slice(0, -added.length) : file
  const parsed = unnumbered.test(name)
    ? { label: name, id: 0n, copy: null }
    : parseFileName(name, null)
  if (!parsed || parsed.id >= 2n ** 64n) return null
  const word = types.find(type => parsed.label.startsWith(`${type}-`))
  if (word === undefined || !backend.test(parsed.label.slice(word.length + 1))) return null
  // Anolis' name for tty.
  const type = recordTypes.find(known => known === word) ?? 'tty'
  return { type, ...parsed, compressed: isCompressedName(name) }
}

/** What programs append to the name of a file that they have compressed. */
const packed = /\.(?:gz|xz|zst|bz2|lz4|lzo)$/

/** The same of a file whose content may be compressed: it is unpacked as it is opened. */
export const decodePackedName = (file: string): CopyName | null =>
  decodeCopyName(file.replace(packed, ''))
