/**
 * A virtual machine with Debian's kernel, so that tests can ask the real pstore what it makes of a
 * region, or let it write one by crashing. scripts/kernel makes what is booted here.
 *
 * The region's file is itself the memory that the guest's ramoops sees: QEMU maps it, as a device
 * outside the guest's RAM that no driver takes, so whatever the guest changes is in the file at
 * once, also when the guest hangs. A second such file is the mailbox: a script for the guest, and
 * the files that its pstore showed.
 */
import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { open, readFile, statfs, unlink, type FileHandle } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { cpioOf } from './cpio.js'

const gzip = promisify(zlib.gzip)

/** Module parameters of ramoops or pstore_blk. */
export type Parameters = Record<string, number | string>

/**
 * What to boot, and what to do there. At most one of `region`, `disk` and a store in `qemu` is its
 * pstore's: one backend at a time.
 */
export type GuestOptions = {
  /** The region's file. Its size is `mem_size`. The guest writes to it. */
  region?: string
  /** Parameters of ramoops besides `mem_address` and `mem_size`; null: no driver takes the region. */
  ramoops?: Parameters | null
  /** A raw disk, /dev/vda, for pstore_blk instead of a region. The guest writes to it. */
  disk?: string
  /** Parameters of pstore_blk besides `blkdev` and `best_effort`; its sizes are KiB. Null: not its. */
  blk?: Parameters | null
  /**
   * The firmware's variable store, a copy of {@link EMPTY_VARIABLES}: the guest starts by UEFI, and has
   * efivarfs mounted. Its pstore has no backend before the script runs `modprobe efi_pstore`.
   */
  efi?: string
  /** A folder whose files the guest's initramfs has, besides its own. */
  initramfs?: string
  /** Shell commands, run with `sh -eu` once pstore is mounted and before it is listed. */
  script?: string
  /** Names to unlink after the listing. */
  unlink?: string[]
  /** Panic (by sysrq c) after listing and unlinking, so that the kernel writes a dmesg record. */
  crash?: boolean | 'panic'
  /**
   * Cut the power as soon as the serial port has shown this: nothing is listed then, and nothing in the
   * guest comes to an end.
   */
  powerCut?: RegExp
  /** Number of CPUs, 1 if not given. */
  cpus?: number
  /** MiB of RAM. */
  ram?: number
  /** More for the kernel's command line. */
  cmdline?: string
  /** More arguments for QEMU: a device whose store the kernel finds by itself. */
  qemu?: string[]
  /** Milliseconds after which the guest is killed. A boot takes some seconds under emulation. */
  timeout?: number
}

/** A file that the guest's pstore showed. */
export type GuestFile = {
  name: string
  /** st_size; `bytes` can be of another length (ftrace). */
  size: number
  /** st_mode, with the file type's bits. */
  mode: number
  uid: number
  gid: number
  /**
   * Seconds with 9 decimals, as text: a double does not hold nanoseconds. More decimals where a
   * record's header claims more than a second of them, which Linux passes on.
   */
  mtime: string
  bytes: Buffer
}

export type GuestResult = {
  /** In readdir's order. */
  files: GuestFile[]
  /** All that the guest printed on its serial port: kernel messages and commands' output. */
  log: string
  /** The guest's `uname -r`. */
  release: string
}

const PAGE = 4096
const MIB = 1 << 20
// MiB of RAM. Half would boot, but Linux copies each zone to contiguous memory, and shows it as empty
// if there is none.
const RAM = 256

// The same numbers as in scripts/kernel's mailbox.c.
const MAILBOX_ADDRESS = 0x1_0000_0000
const MAILBOX_BYTES = 64 * MIB
const MAILBOX_OUTPUT = MIB

/** Where the guest has the region; `mem_address`. */
export const REGION_ADDRESS = 0x1_4000_0000

/** UEFI for QEMU, in flash of two parts: its code, and its variables as they are in a new machine. */
const FIRMWARE = '/usr/share/OVMF/OVMF_CODE_4M.fd'
export const EMPTY_VARIABLES = '/usr/share/OVMF/OVMF_VARS_4M.fd'
/** Where Linux shows them. */
export const EFIVARS = '/sys/firmware/efi/efivars'

const maker = fileURLToPath(new URL('../../scripts/kernel', import.meta.url))

/** The folder with kernel, initramfs and release that the present scripts/kernel makes. */
const guestFolder = () => {
  const { PSTOREFS_KERNEL_DIR, XDG_CACHE_HOME } = process.env
  const cache =
    PSTOREFS_KERNEL_DIR || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'pstorefs/kernel')
  const hash = createHash('sha256').update(readFileSync(maker)).digest('hex')
  return join(cache, `guest-${hash.slice(0, 16)}`)
}

/**
 * For tap's `skip`: false if a guest can be booted, else the reason. Never skips in CI on a machine that can have
 * one, where a missing guest is a mistake to be seen.
 */
export const skipWithoutGuest = (): false | string => {
  if (existsSync(guestFolder())) return false
  if (process.arch !== 'x64') return 'the guest is for x86-64'
  return process.env.CI ? false : 'no guest: run scripts/kernel first'
}

/** An argument for a POSIX shell. */
const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

const parameters = (values: Parameters) =>
  Object.entries(values).map(([name, value]) => quote(`${name}=${value}`))

/** What the guest's /init runs. `regionBytes` is 0 without a region. */
const guestScript = (opts: GuestOptions, regionBytes: number) => {
  const lines: string[] = []
  if (opts.region !== undefined && opts.ramoops !== null) {
    const all = { mem_address: REGION_ADDRESS, mem_size: regionBytes, ...opts.ramoops }
    // dyndbg: have ramoops say what it found in each zone.
    lines.push(`modprobe ramoops dyndbg=+p ${parameters(all).join(' ')}`)
  }
  if (opts.disk !== undefined) lines.push('modprobe virtio_pci', 'modprobe virtio_blk')
  if (opts.disk !== undefined && opts.blk !== null) {
    const all = { blkdev: '/dev/vda', best_effort: 1, ...opts.blk }
    lines.push(`modprobe pstore_blk ${parameters(all).join(' ')}`)
  }
  if (opts.efi !== undefined)
    lines.push('modprobe efivarfs', `mount -t efivarfs efivarfs ${EFIVARS}`)
  lines.push('mount -t pstore pstore /sys/fs/pstore')
  if (opts.script !== undefined) lines.push(`sh -euc ${quote(opts.script)}`)
  lines.push(['mailbox put /sys/fs/pstore', ...(opts.unlink ?? []).map(quote)].join(' '))
  if (opts.crash) lines.push('echo c >/proc/sysrq-trigger')
  return `${lines.join('\n')}\n`
}

/**
 * A file without a name, in memory if there is room: it is gone when closed, however we end. QEMU
 * gets it as an open descriptor.
 */
const anonymousFile = async (size: number): Promise<FileHandle> => {
  let folder = tmpdir()
  try {
    const { bavail, bsize } = await statfs('/dev/shm')
    if (bavail * bsize >= size) folder = '/dev/shm'
  } catch {
    // Not there, so on disk.
  }
  const path = join(folder, `pstorefs-guest-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  try {
    await unlink(path)
    await file.truncate(size)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

const readAt = async (file: FileHandle, position: number, length: number) => {
  const buffer = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) throw new Error('a file is shorter than it was')
    done += bytesRead
  }
  return buffer
}

const writeAt = async (file: FileHandle, position: number, buffer: Buffer) => {
  for (let done = 0; done < buffer.length;) {
    const { bytesWritten } = await file.write(buffer, done, buffer.length - done, position + done)
    done += bytesWritten
  }
}

/** The files in the mailbox, or undefined if the guest did not come so far. */
const readMailbox = async (mailbox: FileHandle): Promise<GuestFile[] | undefined> => {
  const length = Number((await readAt(mailbox, MAILBOX_OUTPUT, 8)).readBigUInt64LE())
  if (length === 0) return undefined
  const output = await readAt(mailbox, MAILBOX_OUTPUT + 8, length - 1)
  const files: GuestFile[] = []
  for (let at = 0; at < output.length;) {
    const body = output.indexOf('\n', at) + 1
    const [size, mode, uid, gid, mtime, bytes, ...name] = output
      .toString('utf8', at, body - 1)
      .split(' ')
    at = body + Number(bytes)
    files.push({
      name: name.join(' '),
      size: Number(size),
      mode: Number(mode),
      uid: Number(uid),
      gid: Number(gid),
      mtime: mtime!,
      bytes: output.subarray(body, at),
    })
  }
  return files
}

/** How long a guest that is made to panic has for its last words, in milliseconds. */
const lastWords = 30_000

/**
 * Runs QEMU with `files` as its descriptors 3, 4, … and returns what it printed, and how it ended. It
 * is killed once it has printed `last`. One that takes longer than `timeout` says first where it stands.
 */
const runQemu = (args: string[], files: FileHandle[], timeout: number, last: RegExp | undefined) =>
  new Promise<{ log: string; failure: string | undefined }>((resolve, reject) => {
    // pdeathsig: QEMU must not outlive a test that is killed.
    const monitor = ['-chardev', `socket,id=monitor,fd=${3 + files.length}`, '-mon', 'monitor']
    const command = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...args, ...monitor]
    const child = spawn('setpriv', command, {
      stdio: ['ignore', 'pipe', 'pipe', ...files.map(file => file.fd), 'pipe'],
    })
    const orders = child.stdio.at(-1) as Socket
    orders.resume().on('error', () => {})
    const chunks: Buffer[] = []
    const logOf = () => Buffer.concat(chunks).toString().replaceAll('\r\n', '\n')
    let late = false
    let cut = false
    child.stdout!.on('data', chunk => {
      chunks.push(chunk)
      if (cut || !last?.test(logOf())) return
      cut = true
      child.kill('SIGKILL')
    })
    child.stderr!.on('data', chunk => chunks.push(chunk))
    let timer = setTimeout(() => {
      late = true
      timer = setTimeout(() => child.kill('SIGKILL'), lastWords)
      orders.write('nmi\n')
    }, timeout)
    child.on('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({
        log: logOf(),
        failure: late
          ? `the guest was still running after ${timeout} ms`
          : cut || (code === 0 && !last)
            ? undefined
            : `QEMU ended with ${signal ?? code}`,
      })
    })
  })

/**
 * Boots the guest with `region` as ramoops' memory (or `disk` for pstore_blk), and returns what its
 * pstore showed. Throws, with the end of the guest's log, if anything in the guest failed; the
 * region then is as the guest left it.
 */
export const bootGuest = async (opts: GuestOptions): Promise<GuestResult> => {
  const folder = guestFolder()
  if (!existsSync(folder)) throw new Error(`no guest in ${folder}: run scripts/kernel first`)

  const handles: FileHandle[] = []
  const keep = async (promise: Promise<FileHandle>) => {
    const handle = await promise
    handles.push(handle)
    return handle
  }
  try {
    const inherited: FileHandle[] = []
    /** A name for QEMU's options, in which a path's commas would need escapes. */
    const inherit = (file: FileHandle) => `/dev/fd/${2 + inherited.push(file)}`
    // nvdimm: the device for memory at an address of choice that the guest does not take as RAM.
    const memory = (id: string, file: FileHandle, size: number, address: number) => [
      '-object',
      `memory-backend-file,id=${id},share=on,mem-path=${inherit(file)},size=${size}`,
      '-device',
      `nvdimm,memdev=${id},addr=${address}`,
    ]

    const region = opts.region === undefined ? undefined : await keep(open(opts.region, 'r+'))
    const regionBytes = region ? (await region.stat()).size : 0
    const regionPages = Math.ceil(regionBytes / PAGE) * PAGE
    // Only whole pages can be mapped: a region with a last part of one goes through a copy.
    let copy: FileHandle | undefined
    if (region && regionPages !== regionBytes) {
      copy = await keep(anonymousFile(regionPages))
      await writeAt(copy, 0, await readAt(region, 0, regionBytes))
    }

    const script = Buffer.from(guestScript(opts, regionBytes))
    if (script.length >= MAILBOX_OUTPUT) throw new Error('the script is too long')
    const mailbox = await keep(anonymousFile(MAILBOX_BYTES))
    await writeAt(mailbox, 0, script)

    // One thread for all CPUs. It is quicker where tests run side by side, and with a thread for each a guest
    // once in a hundred times stood still: all its CPUs asleep, and nothing woke them.
    const args = ['-machine', 'pc,nvdimm=on', '-accel', 'tcg,thread=single']
    args.push('-smp', String(opts.cpus ?? 1))
    const { ram = RAM } = opts
    const limit = ram + (REGION_ADDRESS - MAILBOX_ADDRESS) / MIB + Math.ceil(regionPages / MIB)
    args.push('-m', `size=${ram}M,slots=2,maxmem=${limit}M`)
    args.push('-nodefaults', '-no-user-config', '-display', 'none', '-vga', 'none')
    args.push('-serial', 'stdio', '-no-reboot')
    let initramfs = join(folder, 'initramfs')
    if (opts.initramfs !== undefined) {
      // Linux unpacks one archive after the other, packed or not.
      const more = await gzip(await cpioOf(opts.initramfs), { level: 1 })
      const both = Buffer.concat([await readFile(initramfs), more])
      const file = await keep(anonymousFile(both.length))
      await writeAt(file, 0, both)
      initramfs = inherit(file)
    }
    // Firmware starts what it knows, which the expanded kernel is not.
    const kernel = opts.efi === undefined ? 'kernel' : 'vmlinuz'
    args.push('-kernel', join(folder, kernel), '-initrd', initramfs)
    if (opts.efi !== undefined) {
      const store = inherit(await keep(open(opts.efi, 'r+')))
      const flash = 'if=pflash,format=raw'
      args.push('-drive', `${flash},unit=0,readonly=on,file=${FIRMWARE}`)
      args.push('-drive', `${flash},unit=1,file=${store}`)
    }
    args.push(
      '-append',
      [
        // panic=-1: reboot at once, which ends QEMU. unknown_nmi_panic: see runQemu. tsc=reliable: where this
        // machine is busy Linux takes an emulated TSC for broken, and the one that it has besides makes
        // everything slow. The rest makes the boot faster or quieter.
        'console=ttyS0 quiet panic=-1 unknown_nmi_panic tsc=reliable',
        'mitigations=off no_timer_check random.trust_cpu=on',
        opts.cmdline ?? '',
      ].join(' '),
    )
    args.push(...memory('mailbox', mailbox, MAILBOX_BYTES, MAILBOX_ADDRESS))
    if (region) args.push(...memory('region', copy ?? region, regionPages, REGION_ADDRESS))
    if (opts.disk !== undefined) {
      const disk = inherit(await keep(open(opts.disk, 'r+')))
      args.push('-drive', `file=${disk},format=raw,if=virtio`)
    }
    args.push(...(opts.qemu ?? []))

    const { timeout = 600_000, powerCut } = opts
    const { log, failure } = await runQemu(args, inherited, timeout, powerCut)
    if (region && copy) await writeAt(region, 0, await readAt(copy, 0, regionBytes))
    const files = powerCut ? [] : await readMailbox(mailbox)
    const problem = failure ?? (files ? undefined : 'the guest did not list its pstore')
    if (problem)
      throw new Error(`${problem}; its log ends:\n${log.split('\n').slice(-60).join('\n')}`)
    const release = (await readFile(join(folder, 'release'), 'utf8')).trim()
    return { files: files!, log, release }
  } finally {
    await Promise.all(handles.map(handle => handle.close()))
  }
}
