/** Stores that real kernels wrote, and what their own pstorefs showed of them: fixtures/README.md. */
import { readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import type { RamoopsParameters } from '#src/backends/ramoops/layout.js'
import type { Timespec } from '#src/pstore/time.js'

/** Where the data is, seen from where this is compiled to. */
export const fixtureFolder = path.resolve(import.meta.dirname, '../test/fixtures')

/** A file as stat(2) and read(2) gave it in the guest. */
export interface FixtureFile {
  name: string
  /** st_size. */
  size: number
  /** How many bytes reading gave: more than `size` where ftrace is shown as text. */
  read_len: number
  /** st_mode, with the file type's bits. */
  mode: number
  uid: number
  gid: number
  /** Not known of erst, as the next two. */
  nlink?: number
  blksize?: number
  blocks?: number
  /** ctime is the same. */
  mtime: Timespec
  /** True where `mtime` is when the guest mounted pstore, so that nobody else can have it. */
  mtime_is_mount_time: boolean
}

/** What that kernel said of a zone as it attached. */
export interface FixtureZone {
  type: 'dmesg' | 'console' | 'pmsg' | 'ftrace'
  /** dmesg: the zone's number; ftrace: the CPU; else 0. */
  id: number
  /** From the region's start. */
  offset: number
  /** Header and parity included. */
  size: number
  data_size: number
  /** The kernel's lines about it. */
  log: string[]
}

/** The guest booted on the region, unlinked some files and was stopped. */
export interface FixtureErasure {
  /** The files unlinked, in that order. */
  names: string[]
  /** The files left, as readdir(3) lists them; their bytes are those of `files`. Not known of erst. */
  files?: string[]
  /** What was there again when pstore was mounted anew: Linux erases one of ftrace's zones only. */
  back_after_remount?: { name: string; size: number; read_len: number; sha256: string }[]
  /** The region then; what attaching changes in it (see `regionAfterRead`) included. */
  region(): Buffer
}

/** The root directory, and its statfs(2). */
export interface FixtureRoot {
  mode: number
  uid: number
  gid: number
  nlink: number
  size: number
  f_type: number
  f_bsize: number
}

/** A layout under the kernel's names, in bytes; for blk the zones' sizes are KiB. */
export interface FixtureLayout extends Omit<RamoopsParameters, 'mem_size'> {
  mem_size: number
  /** blk only. */
  kmsg_size?: number
}

/** A fixture's JSON file, where that differs from what is made of it. */
type Json = Omit<Facts, 'root' | 'files' | 'erased'> & {
  root?: Omit<FixtureRoot, 'mode' | 'f_type'> & { mode: string; f_type: string }
  files: (Omit<FixtureFile, 'mode' | 'mtime'> & {
    mode: string
    mtime: { sec: string; nsec: number }
  })[]
  erased?: Omit<FixtureErasure, 'region'>[]
  /** Where the pieces lie in the decompressed data: offset and length. */
  blobs: { [name: string]: [number, number] }
}

interface Facts {
  name: string
  description: string
  backend: 'ramoops' | 'blk' | 'efi' | 'erst'
  /** The version of the kernel that wrote and read it. */
  kernel: string
  /** False where that kernel crashed on it: nothing is known of how it should look. */
  complete: boolean
  /** How the region was made. */
  steps?: string[]
  layout: FixtureLayout
  /** The pstore.compress of the kernel that read it, where it was given one. */
  compress?: string
  /** What the kernel said where it refused the layout. */
  refusal?: string[]
  /** What the kernel said where it crashed on it. */
  crash?: string
  /** Not known of erst, and where the kernel crashed. */
  root?: FixtureRoot
  /** The names as readdir(3) gave them. Not known of erst, and where the kernel crashed. */
  readdir_order?: string[]
  files: FixtureFile[]
  /** efi: the raw files of efivarfs. */
  efivars?: string[]
  erased: FixtureErasure[]
  /** ramoops: the zones, where the kernel took the layout. */
  zones?: FixtureZone[]
}

/** One fixture. Its bytes are decompressed when first asked for; each Buffer given is a fresh copy. */
export interface Fixture extends Facts {
  /** The store as that kernel found it: the region, blk's disk, efi's variable store. */
  region(): Buffer
  /** The same once the kernel had shown it: corrected by ECC, console and pmsg zapped. Not of erst. */
  regionAfterRead(): Buffer
  /** The bytes that reading one of `files` gave. */
  file(name: string): Buffer
  /** The bytes of one of `efivars`. */
  efivar(name: string): Buffer
}

/** Load a fixture by its name. */
export const loadFixture = (name: string): Fixture => {
  const file = path.join(fixtureFolder, name)
  const {
    blobs,
    root,
    files,
    erased = [],
    ...facts
  } = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Json
  let data: Buffer | undefined
  const blob = (key: string): Buffer => {
    if (!Object.hasOwn(blobs, key)) throw new Error(`fixture ${name}: has no ${key}`)
    const [offset, length] = blobs[key]
    data ??= brotliDecompressSync(readFileSync(`${file}.br`))
    return Buffer.from(data.subarray(offset, offset + length))
  }
  return {
    ...facts,
    ...(root
      ? { root: { ...root, mode: parseInt(root.mode, 8), f_type: Number(root.f_type) } }
      : {}),
    files: files.map(({ mode, mtime, ...rest }) => ({
      ...rest,
      mode: parseInt(mode, 8),
      mtime: { sec: BigInt(mtime.sec), nsec: mtime.nsec },
    })),
    erased: erased.map(run => ({ ...run, region: () => blob(`erased/${run.names.join('+')}`) })),
    region: () => blob('region'),
    regionAfterRead: () => blob('region-after-read'),
    file: of => blob(`files/${of}`),
    efivar: of => blob(`efivars/${of}`),
  }
}

/** All fixtures whose name begins so, in the order of their names. */
export const fixtures = (prefix = ''): Fixture[] =>
  readdirSync(fixtureFolder)
    .filter(file => file.endsWith('.json') && file.startsWith(prefix))
    .map(file => file.slice(0, -'.json'.length))
    .sort()
    .map(loadFixture)

/** A fixture's layout as options of the command line: `--mem-size 131072 --record-size 16384 …`. */
export const layoutOptions = ({ layout }: Pick<Fixture, 'layout'>): string[] =>
  Object.entries(layout).flatMap(([name, value]) => [
    `--${name.replaceAll('_', '-')}`,
    String(value),
  ])
