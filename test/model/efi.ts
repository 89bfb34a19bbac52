/**
 * What Linux shows of EFI variables, the slow way: doc/formats.md 2 and 4, read a second time for tests, one
 * sentence after the other. The store is EDK II's (MdeModulePkg/Include/Guid/VariableFormat.h). It shares
 * nothing with the reading in src/ but zlib.
 */
import { crc32 } from 'node:zlib'
import {
  dumpFile,
  expand,
  stemOf,
  typeNames,
  type Model,
  type ModelFile,
  type ModelPlace,
} from './file.js'
import { guidBytes } from './guid.js'
import { isPiece, ringFiles, type ModelPiece, type PieceType } from './pieces.js'

/** Linux's dumps. */
export const dumpVendor = 'cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0'
/** This project's own: pieces of rings. */
export const ringVendor = '6f2c8d0e-7a51-4b39-9c84-2e0d5b7f1a63'

/** Variables of a vendor under their names, in the order in which they are listed. */
export interface ModelVariable {
  vendor: string
  name: string
  data: Buffer
}

/** sscanf(3) as the kernel has it: blanks may precede a number, and what follows the last is left. */
const scan = (text: string, format: string): (bigint | string)[] => {
  const found: (bigint | string)[] = []
  let at = 0
  for (const part of format.match(/%llu|%u|%d|%c|./g)!) {
    if (part === '%c') {
      if (at < text.length) found.push(text[at++])
    } else if (part.startsWith('%')) {
      while (text[at] === ' ') at++
      const [digits] = (part === '%d' ? /^-?\d+/ : /^\d+/).exec(text.slice(at)) ?? []
      if (digits === undefined) return found
      found.push(BigInt(digits))
      at += digits.length
    } else if (text[at++] !== part) return found
  }
  return found
}

interface DumpName {
  type: string
  part: bigint
  count: bigint
  sec: bigint
  compressed: boolean
}

/** 4: what a name says; null where it is no record's. */
const dumpNameOf = (name: string): DumpName | null => {
  // Longer than the kernel's buffer, or with what no writer puts there.
  if (name.length > 65 || !/^[ -~]*$/.test(name) || name.includes('/')) return null
  let fields = scan(name, 'dump-type%u-%u-%d-%llu-%c')
  if (fields.length < 4) {
    fields = scan(name, 'dump-type%u-%u-%llu')
    if (fields.length < 3) return null
    fields.splice(2, 0, 0n)
  }
  const [number, part, count, sec] = fields as bigint[]
  // Each is kept in so many bits.
  const type = typeNames[Number(BigInt.asUintN(32, number))]
  if (type === undefined) return null
  return {
    type,
    part: BigInt.asUintN(32, part),
    count: BigInt.asIntN(32, count),
    sec: BigInt.asUintN(64, sec),
    compressed: fields[4] === 'C',
  }
}

const pieceOf = ({ vendor, name, data }: ModelVariable): ModelPiece | null => {
  const [, type, position, length] = /^(tty|console|pmsg)-(\d+)-(\d+)$/.exec(name) ?? []
  if (vendor !== ringVendor || type === undefined) return null
  if (`${BigInt(position)}-${data.length}` !== `${position}-${length}`) return null
  const piece = { type: type as PieceType, position: BigInt(position), bytes: data }
  return isPiece(piece) ? piece : null
}

interface DumpVariable extends DumpName {
  variable: ModelVariable
  file: ModelFile
}

/**
 * The dumps with the files that show them. Linux shows the first of an ID; the others, and what would have a ring's
 * name, are told from it by the CRC of their variables' names.
 */
const dumpsOf = (
  variables: ModelVariable[],
  inOrder: boolean,
  rings: ModelFile[] = [],
): DumpVariable[] => {
  const dumps = variables.flatMap(variable => {
    const says = variable.vendor === dumpVendor ? dumpNameOf(variable.name) : null
    if (!says) return []
    const { data } = variable
    const id = BigInt.asUintN(64, (says.sec * 100n + says.part) * 1000n + says.count)
    // 1024 bytes are what Linux gives a variable, where it was told no other size.
    const most = Math.max(3 * 1024, Math.min(3 * 65536, 64 * data.length))
    const text = says.compressed ? expand(data, most) : data
    const time = { sec: BigInt.asIntN(64, says.sec), nsec: 0 }
    const file = dumpFile(`${says.type}-efi_pstore-${id}`, time, data, text)
    return [{ ...says, variable, file }]
  })
  if (!inOrder)
    dumps.sort(
      (a, b) =>
        Number(a.sec - b.sec) ||
        Number(a.count - b.count) ||
        Number(a.part - b.part) ||
        (a.variable.name < b.variable.name ? -1 : 1),
    )
  const stems = dumps.map(({ file }) => stemOf(file.name))
  return dumps.map((dump, i) => {
    const isFirst = stems.indexOf(stems[i]) === i && !rings.some(({ name }) => name === stems[i])
    if (isFirst) return dump
    const { variable, file } = dump
    const name = file.name.replace(stems[i], `${stems[i]}.${crc32(variable.name)}`)
    return { ...dump, file: { ...file, name } }
  })
}

const ringsOf = (variables: ModelVariable[]): ModelFile[] =>
  ringFiles(
    'efi_pstore',
    variables.flatMap(variable => pieceOf(variable) ?? []),
  )

/**
 * What variables show.
 *
 * @param inOrder whether they are listed in the firmware's order; a folder has none, and they go by time,
 *   count and part
 */
export const readVariables = (variables: ModelVariable[], inOrder: boolean): Model => {
  const rings = ringsOf(variables)
  const dumps = dumpsOf(variables, inOrder, rings)
  return {
    files: [...dumps.map(({ file }) => file), ...rings],
    places: [...dumps.map(({ file }) => file), ...rings].map(({ name }) => ({
      name: stemOf(name),
      state: name === stemOf(name) && !name.includes('.') ? 'sound' : 'damaged',
      record: name,
    })),
  }
}

/** The variables of a folder that a file is made of: erasing it deletes them. */
export const variablesFor = (variables: ModelVariable[], name: string): ModelVariable[] => {
  const pieces = variables.filter(one => `${pieceOf(one)?.type}-efi_pstore-0` === name)
  if (pieces.length) return pieces
  return dumpsOf(variables, false, ringsOf(variables)).flatMap(({ file, variable }) =>
    file.name === name ? variable : [],
  )
}

/** No firmware takes more data; the program shows none of such a variable. */
const mostData = 65536

/** 4: efivarfs's files: attributes, then the data. */
export const folderVariables = (files: ReadonlyMap<string, Buffer>): ModelVariable[] =>
  [...files].flatMap(([file, bytes]) => {
    const vendor = [dumpVendor, ringVendor].find(guid => file.endsWith(`-${guid}`))
    const data = bytes.subarray(4)
    if (!vendor || data.length === 0 || data.length > mostData) return []
    return [{ vendor, name: file.slice(0, -vendor.length - 1), data }]
  })

const authenticated = guidBytes('aaf32c78-947b-439a-a180-2e144ec37792')
const plain = guidBytes('ddcf3616-3275-4164-98b6-fe85707ffe7d')
const vendors = [dumpVendor, ringVendor].map(guid => ({ guid, bytes: guidBytes(guid) }))

/** 4.2: what is said of a store that is shorter than its volume, or whose list of variables is broken. */
export const storeFaults = (bytes: Buffer): ModelPlace[] =>
  bytes.readBigUInt64LE(32) > bytes.length || walkStore(bytes)!.isBroken
    ? [{ name: 'the store', state: 'damaged', record: null }]
    : []

/** The variables in a store, each by its state there, gone or about to be. Null where there is no store. */
export const storeVariables = (bytes: Buffer): ModelVariable[] | null =>
  walkStore(bytes)?.variables ?? null

/** As the firmware finds them, one after the other; and behind what is no header, by their headers. */
const walkStore = (bytes: Buffer): { variables: ModelVariable[]; isBroken: boolean } | null => {
  if (bytes.length < 56 || bytes.toString('latin1', 40, 44) !== '_FVH') return null
  const volumeLength = bytes.readBigUInt64LE(32)
  const header = bytes.readUInt16LE(48)
  if (header < 56 || header + 28 > bytes.length) return null
  const format = bytes.subarray(header, header + 16)
  const hasTime = format.equals(authenticated)
  if (!hasTime && !format.equals(plain)) return null
  const storeLength = Math.min(bytes.readUInt32LE(header + 16), 2 << 20)
  const end = Math.min(Number(volumeLength), bytes.length, header + storeLength)
  const sizesAt = hasTime ? 36 : 8
  const headerLength = sizesAt + 24

  const found: (ModelVariable & { state: number })[] = []
  const aligned = (offset: number): number => offset + ((4 - (offset % 4)) % 4)
  const headerAt = (
    at: number,
  ): { state: number; isFinished: boolean; nameSize: number; dataAt: number; next: number } => {
    const state = bytes[at + 2]
    const sizes = [bytes.readUInt32LE(at + sizesAt), bytes.readUInt32LE(at + sizesAt + 4)]
    const isFinished =
      state !== 0xff && ![...sizes, bytes.readUInt32LE(at + 4)].includes(0xffffffff)
    const [nameSize, dataSize] = isFinished ? sizes : [0, 0]
    const dataAt = at + headerLength + nameSize
    return { state, isFinished, nameSize, dataAt, next: dataAt + dataSize }
  }
  const isHeader = (at: number): boolean => bytes.readUInt16LE(at) === 0x55aa
  /** A header that was completed, of a variable behind which is another, or nothing yet. */
  const leadsOn = (at: number): boolean => {
    if (!isHeader(at) || ![0x7f, 0x3f, 0x3e, 0x3d, 0x3c].includes(bytes[at + 2])) return false
    const next = aligned(headerAt(at).next)
    return next + 2 <= end && (isHeader(next) || bytes.readUInt16LE(next) === 0xffff)
  }
  let isBroken = false
  let before: number | null = null
  for (let at = aligned(header + 28); at + headerLength <= end;) {
    const isBad = !isHeader(at) || headerAt(at).next > end
    if (isBad) {
      isBroken ||= bytes.subarray(at, end).some(byte => byte !== 0 && byte !== 0xff)
      if (!isBroken) break
      // Where there is no header, the variable before may say too much.
      at = isHeader(at) || before === null ? at + 4 : before + headerLength
      while (at + headerLength <= end && !leadsOn(at)) at += 4
      continue
    }
    before = at
    const { state, isFinished, nameSize, dataAt, next } = headerAt(at)
    const dataSize = next - dataAt
    const vendor = vendors.find(({ bytes: guid }) =>
      bytes.subarray(at + sizesAt + 8, at + headerLength).equals(guid),
    )?.guid
    // Names of records are far shorter than 512 bytes. UTF-16, up to a NUL.
    if (isFinished && vendor && nameSize <= 512 && dataSize > 0 && dataSize <= mostData) {
      const text = bytes.toString('utf16le', at + headerLength, dataAt - (nameSize % 2))
      const [name] = text.split('\0')
      found.push({ vendor, name, data: bytes.subarray(dataAt, dataAt + dataSize), state })
    }
    at = aligned(next)
  }
  // 0x3f: added. 0x3e: added, and about to be deleted once the next copy is complete; it counts where none
  // is, and of several the last.
  const copies = (state: number, { vendor, name }: ModelVariable): ModelVariable[] =>
    found.filter(one => one.state === state && one.vendor === vendor && one.name === name)
  const variables = found.filter(one => one === (copies(0x3f, one)[0] ?? copies(0x3e, one).at(-1)))
  return { variables, isBroken }
}
