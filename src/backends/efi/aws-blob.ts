/**
 * AWS's copy of an instance's variables (`GetInstanceUefiData`): base64 of a header, and a zlib stream.
 *
 * Source: doc/formats.md 4.4; awslabs/python-uefivars (pyuefivars/aws.py). The stream is made with a dictionary, which
 * is not this project's to hand on: it is read from where virt-firmware has it.
 */
import fs from 'node:fs'
import path from 'node:path'
import zlib from 'node:zlib'
import { readWhole } from '../../native/open.js'
import { StoreError } from '../../pstore/errors.js'
import { decodeGuid } from '../guid.js'
import type { Listed, ListedVariable } from './variables.js'

const magic = 'AMZNUEFI'
/** How its base64 begins: the next characters also have bits of what follows. */
const encodedMagic = 'QU1aTlVFRk'
/** The magic, a checksum of all behind it, and the version. In bytes. */
const headerLength = 16
/** Bytes that a stream may make: firmware has stores of up to 1 MiB. */
const mostBytes = 4 * 1024 * 1024
/** The bit in a zlib stream's second byte that says that it was made with a dictionary (RFC 1950). */
const hasDictionary = 0x20
/** The attribute of variables that have a time and a digest, too (UEFI specification 8.2). */
const authenticated = 0x20
const timeLength = 16
/** A dictionary has 12 KB. */
const mostDictionary = 64 * 1024

/** Does a file begin as one, in base64 or not? */
export const isAwsBlob = (head: Buffer): boolean => {
  const text = head.toString('latin1')
  return text.startsWith(magic) || text.trimStart().startsWith(encodedMagic)
}

/** Where Python's packages are, by version. */
const libraries = ['/usr/lib', '/usr/local/lib']

/** The dictionary of virt-firmware; null where that is not installed. */
export const findDictionary = (folders: readonly string[] = libraries): Buffer | null => {
  const found = folders
    .filter(folder => fs.existsSync(folder))
    .flatMap(folder => fs.readdirSync(folder).map(name => path.join(folder, name)))
    .filter(folder => path.basename(folder).startsWith('python3'))
    .flatMap(folder => ['dist-packages', 'site-packages'].map(kind => path.join(folder, kind)))
    .map(folder => path.join(folder, 'virt/firmware/aws/dict.v0'))
    .find(file => fs.existsSync(file))
  return found === undefined ? null : readWhole(found, mostDictionary)
}

/**
 * The variables in a blob.
 *
 * @param source its path, for messages
 * @param find gives the dictionary, where the stream was made with one
 * @throws StoreError where it is broken, or its dictionary is not here
 */
export const decodeAwsBlob = (
  source: string,
  file: Buffer,
  find: () => Buffer | null = findDictionary,
): Listed => {
  const bytes =
    file.toString('latin1', 0, magic.length) === magic
      ? file
      : Buffer.from(file.toString('latin1'), 'base64')
  const broken = (what: string): StoreError =>
    new StoreError(`${source}: is a broken AWS UEFI blob: ${what}`, 'EIO')
  if (bytes.length < headerLength + 2) throw broken('it ends before its content')
  const version = bytes.readUInt32LE(12)
  if (version !== 0)
    throw new StoreError(`${source}: is an AWS UEFI blob of version ${version}: only 0 is known`)
  if (crc32c(bytes.subarray(12)) !== bytes.readUInt32LE(8)) throw broken('its checksum is wrong')
  const stream = bytes.subarray(headerLength)
  const packed = (stream[1]! & hasDictionary) !== 0
  const dictionary = packed ? find() : null
  if (packed && !dictionary)
    throw new StoreError(
      `${source}: is an AWS UEFI blob, whose dictionary is not here: install python3-virt-firmware, ` +
        'or make JSON of it elsewhere (virt-fw-vars -i BLOB --output-json FILE)',
    )
  let content: Buffer
  try {
    const options = { maxOutputLength: mostBytes, ...(dictionary ? { dictionary } : {}) }
    content = zlib.inflateSync(stream, options)
  } catch (error) {
    throw broken((error as Error).message)
  }
  return decodeVariables(content)
}

const decodeVariables = (bytes: Buffer): Listed => {
  let at = 0
  /** Null where there are fewer. */
  const take = (length: number): Buffer | null => {
    if (!(length <= bytes.length - at)) return null
    at += length
    return bytes.subarray(at - length, at)
  }
  const number = (): number => Number(take(8)?.readBigUInt64LE() ?? NaN)
  const variable = (): ListedVariable | null => {
    const name = take(number())
    const data = take(number())
    const rest = take(20)
    if (!name || !data || !rest) return null
    const isAuthenticated = (rest.readUInt32LE(16) & authenticated) !== 0
    if (isAuthenticated && !(take(timeLength) && take(number()))) return null
    return { vendor: decodeGuid(rest.subarray(0, 16)), name: name.toString(), data }
  }
  const variables: ListedVariable[] = []
  for (let left = number(); left !== 0; left--) {
    const next = variable()
    if (!next) return { variables, left: 'the list of its variables is cut short' }
    variables.push(next)
  }
  return { variables, left: null }
}

/** CRC-32C (Castagnoli), which zlib has not. */
export const crc32c = (bytes: Uint8Array): number => {
  let sum = 0xffffffff
  for (const byte of bytes) sum = (sum >>> 8) ^ castagnoli[(sum ^ byte) & 0xff]!
  return ~sum >>> 0
}

const castagnoli = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0)
  return value
})
