/**
 * What kernels other than 6.12 on x86-64 wrote, shown through the mount, `ls` and `cat` as the kernel that
 * wrote it showed it. The folders are in ../shared (../shared.ts), and the README there names the exceptions.
 */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { file, mount, pstorefs, run, succeed } from '../program.js'
import { readShared, shared, skipWithoutShared } from '../shared.js'

const home = 'fixtures-kernels'

interface Zone {
  type: string
  off: number
  data_off: number
  data_size: number
}

interface Layout {
  [name: string]: string | number
  backend: 'ramoops' | 'blk'
  /** Parity bytes; not of blk. */
  ecc: number
}

interface Folder {
  name: string
  description: string
  version_code: number
  arch: string
  layout: Layout
  zones?: Zone[]
  steps: { env?: { FT_FILTER?: string } }[]
}

interface ShownFile {
  name: string
  size: number
  mode: string
  uid: number
  gid: number
  mtime: { sec: number; nsec: number }
  mtime_is_mount_time: boolean
}

interface Shown {
  root: { mode: string; uid: number; gid: number; size: number }
  readdir_order: string[]
  files: ShownFile[]
}

/** A file as it should be here. */
interface Expected extends ShownFile {
  bytes: Buffer
}

const parse = <T>(...names: string[]): T => JSON.parse(readShared(home, ...names).toString()) as T

const version = (major: number, minor: number): number => (major << 16) | (minor << 8)
const isBig = ({ arch }: Folder): boolean => arch === 'mips' || arch === 'ppc64'
/** 5.10's notice has other words, and its ftrace lines with parity are nonsense, as they are up to 7.1. */
const hasOldNotice = ({ version_code }: Folder): boolean => version_code < version(6, 1)
const hasFtraceNonsense = ({ version_code, layout }: Folder): boolean =>
  Boolean(layout.ecc) && version_code < version(7, 0)

/** Where the driver finds the folder's region, and the options that its README names. */
const optionsOf = (folder: Folder): string[] => {
  const { layout, version_code } = folder
  const isBlk = layout.backend === 'blk'
  const options = [
    'mem_size',
    'record_size',
    'console_size',
    'ftrace_size',
    'pmsg_size',
    'kmsg_size',
  ]
    .filter(name => layout[name] !== undefined && !(isBlk && name === 'mem_size'))
    .flatMap(name => [`--${name.replace('_', '-')}`, `${layout[name]!}${isBlk ? 'K' : ''}`])
  options.push('--cpus', String(layout.cpus))
  if (!isBlk) options.push('--ecc', String(layout.ecc), '--flags', String(layout.flags))
  if (!isBlk && version_code < version(6, 2)) options.push('--preset', 'linux-pre-6.2')
  if (isBig(folder)) options.push('--endian', 'big')
  const own = shared(home, folder.name, 'kallsyms.gz')
  const kernels = shared(home, `${folder.name.split('-')[0]!}-kallsyms.gz`)
  return [...options, '--kallsyms', fs.existsSync(own) ? own : kernels]
}

/** The newest kernel's words, where 5.10 has its own. */
const newestWords = (text: Buffer): Buffer => {
  const latin1 = text.toString('latin1')
  const old = /\n(No errors detected|\d+ Corrected bytes, \d+ unrecoverable blocks)\n$/
  return Buffer.from(latin1.replace(old, '\nECC: $1\n'), 'latin1')
}

/** A line of ftrace without its symbols, and when it was. */
interface Call {
  time: bigint
  line: string
}

/** The calls of one zone that the kernel left, corrected; what does not divide is lost in front. */
const callsOf = (region: Buffer, zone: Zone, folder: Folder): Call[] => {
  const number = (bytes: number[]): bigint =>
    BigInt(`0x${Buffer.from(isBig(folder) ? bytes : bytes.reverse()).toString('hex')}`)
  const header = (at: number): number => Number(number([...region.subarray(at, at + 4)]))
  const [start, size] = [header(zone.off + 4), header(zone.off + 8)]
  const oldest = size === zone.data_size ? start : 0
  const field = (from: number, length: number): bigint =>
    number(
      Array.from(
        { length },
        (_, i) => region[zone.data_off + ((oldest + from + i) % zone.data_size)]!,
      ),
    )
  const word = folder.arch === 'i386' || folder.arch === 'mips' ? 4 : 8
  const hex = (n: bigint): string => n.toString(16).padStart(8, '0')
  const calls = []
  for (let from = size % (2 * word + 8); from < size; from += 2 * word + 8) {
    const [ip, parent] = [field(from, word), field(from + word, word)]
    const stamp = field(from + 2 * word, 8)
    const time = stamp >> 8n
    calls.push({ time, line: `CPU:${stamp & 0xffn} ts:${time} ${hex(ip)}  ${hex(parent)}  ` })
  }
  return calls
}

/** Merged by time: of equally old ones the later zone's goes first. */
const merge = (before: Call[], next: Call[]): Call[] => {
  const both: Call[] = []
  let i = 0
  for (const call of next) {
    while (i < before.length && before[i]!.time < call.time) both.push(before[i++]!)
    both.push(call)
  }
  return [...both, ...before.slice(i)]
}

/** How the lines begin that 7.2 would print of a folder's ftrace zones. */
const ftraceLines = (folder: Folder): string[] => {
  const region = readShared(home, folder.name, 'region-after-read.img.gz')
  return folder
    .zones!.filter(({ type }) => type === 'ftrace')
    .map(zone => callsOf(region, zone, folder))
    .reduce(merge, [])
    .map(({ line }) => line)
}

/** What a folder's files should be here. */
const expectedOf = (folder: Folder, shown: Shown): Map<string, Expected> =>
  new Map(
    shown.files.map(file => {
      const stored = readShared(home, folder.name, 'expected/files', file.name)
      if (!folder.layout.ecc || !hasOldNotice(folder))
        return [file.name, { ...file, bytes: stored }]
      // ftrace's lines are nonsense there, but its size counts the notice.
      const bytes = newestWords(stored)
      const longer = file.name.startsWith('ftrace-') ? 5 : bytes.length - stored.length
      return [file.name, { ...file, bytes, size: file.size + longer }]
    }),
  )

const sameBytes = (t: Test, folder: Folder, { name, bytes }: Expected, found: Buffer): void => {
  if (!name.startsWith('ftrace-') || !hasFtraceNonsense(folder)) {
    if (found.equals(bytes)) return
    const at = found.findIndex((byte, i) => byte !== bytes[i])
    const part = (of: Buffer): string => JSON.stringify(of.toString('latin1', at, at + 60))
    t.fail(
      `${name}: ${found.length} bytes, not the ${bytes.length} expected; at ${at}: ${part(found)}, not ${part(bytes)}`,
    )
    return
  }
  const lines = found.toString('latin1').split('\n').slice(0, -1)
  const wanted = ftraceLines(folder)
  t.equal(lines.length, wanted.length, `${name}: a line a record, and no notice`)
  const wrong = wanted.findIndex((start, i) => !lines[i]?.startsWith(start))
  if (wrong >= 0) t.equal(lines[wrong], wanted[wrong], `${name}: line ${wrong}`)
  // Where the kernel traced these functions only, its own symbols have no other name.
  if (!folder.steps.some(({ env }) => env?.FT_FILTER)) return
  const other = lines.filter(line => !/ {2}\.?(vfs_|do_sys_open|ksys_|__fput)\S* <- \S+/.test(line))
  t.same(other.slice(0, 3), [], `${name}: functions of its filter`)
}

/** Names in their order; Node's readdir sorts. */
const names = (folder: string): string[] => {
  const found: string[] = []
  const dir = fs.opendirSync(folder)
  for (let entry = dir.readSync(); entry; entry = dir.readSync()) found.push(entry.name)
  dir.closeSync()
  return found
}

const ns = ({ mtime: { sec, nsec } }: ShownFile): bigint =>
  BigInt(sec) * 1_000_000_000n + BigInt(nsec)

const backendOf = ({ layout }: Folder): string =>
  layout.backend === 'blk' ? 'pstore_blk' : 'ramoops'

/** Files that are shown here only. */
const extraOf = (folder: Folder): string[] =>
  // 7.2 drops the ftrace zones of another version.
  folder.description.includes("another version's zone") ? ['ftrace-ramoops-0'] : []

const checkMount = (
  t: Test,
  folder: Folder,
  shown: Shown,
  expected: Map<string, Expected>,
  source: string,
): void => {
  const mountpoint = mount(t, source, optionsOf(folder))
  const extra = extraOf(folder)
  const listed = names(mountpoint)
  t.same(
    listed.filter(name => !extra.includes(name)),
    [...shown.readdir_order, backendOf(folder)],
    'the names, in their order, and the folder',
  )
  t.same(
    listed.filter(name => extra.includes(name)),
    extra,
  )
  const root = fs.statSync(mountpoint)
  t.same([root.mode, root.uid, root.gid, root.size], [0o040750, 0, 0, 0], 'the root')
  for (const file of expected.values()) {
    if (!listed.includes(file.name)) continue
    const path = `${mountpoint}/${file.name}`
    const stat = fs.statSync(path, { bigint: true })
    t.same(
      [stat.mode, stat.uid, stat.gid, stat.size],
      [BigInt(`0o${file.mode}`), BigInt(file.uid), BigInt(file.gid), BigInt(file.size)],
      `${file.name}: mode, owner, group, size`,
    )
    if (!file.mtime_is_mount_time)
      t.same([stat.mtimeNs, stat.ctimeNs], [ns(file), ns(file)], `${file.name}: its time`)
    sameBytes(t, folder, file, run('cat', [path]).stdout)
  }
}

const checkCommands = (
  t: Test,
  folder: Folder,
  expected: Map<string, Expected>,
  source: string,
): void => {
  const options = optionsOf(folder)
  const list = JSON.parse(succeed(t, ['ls', '--json', source, ...options]).toString()) as {
    name: string
    size: number
    mtime: string | null
  }[]
  t.same(list.map(({ name }) => name).sort(), [...expected.keys(), ...extraOf(folder)].sort(), 'ls')
  for (const { name, size, mtime } of list) {
    const file = expected.get(name)
    if (!file) continue
    t.equal(size, file.size, `${name}: its size in ls`)
    t.equal(mtime && BigInt(mtime.replace('.', '')), file.mtime_is_mount_time ? null : ns(file))
  }
  // All in one go; ftrace last, because with parity its length is not the kernel's.
  const files = [...expected.values()].sort(
    (a, b) => Number(a.name.startsWith('ftrace-')) - Number(b.name.startsWith('ftrace-')),
  )
  let rest = succeed(t, ['cat', source, ...files.map(({ name }) => name), ...options])
  for (const file of files) {
    const own = file.name.startsWith('ftrace-') ? rest : rest.subarray(0, file.bytes.length)
    sameBytes(t, folder, file, own)
    rest = rest.subarray(own.length)
  }
}

/**
 * Broken streams, and those of two codecs: what 5.10 made of them is no rule. Each dump is one file, of its
 * text where its stream is whole.
 */
const checkFacts = (t: Test, folder: Folder, shown: Shown, source: string): void => {
  const options = optionsOf(folder)
  const { status, stdout } = pstorefs(['ls', '--json', source, ...options])
  t.equal(status, 0)
  const own = (JSON.parse(stdout.toString()) as { name: string }[]).map(({ name }) => name)
  const plain = (name: string): string => name.replace('.enc.z', '')
  t.same(own.map(plain).sort(), shown.readdir_order.map(plain).sort(), 'a file each')
  const mountpoint = mount(t, source, options)
  for (const name of own) {
    const bytes = run('cat', [`${mountpoint}/${name}`]).stdout
    t.ok(bytes.equals(succeed(t, ['cat', source, name, ...options])), `${name}: cat as the mount`)
    if (name.startsWith('dmesg') && !name.endsWith('.enc.z'))
      t.match(
        bytes.toString('latin1', 0, 40),
        /^(Oops|Panic|Emergency|Shutdown|Unknown)#\d+ Part1\n/,
      )
  }
  if (folder.name.includes('mixed')) t.notOk(own.some(name => name.endsWith('.enc.z')))
  t.ok([0, 1].includes(pstorefs(['check', source, ...options]).status!), 'check has its say')
}

/** Every folder of one kernel, by the beginning of its name. */
export const checkKernel = (kernel: string): void => {
  const skip = skipWithoutShared(home)
  if (skip) {
    void t.test(`regions of ${kernel}`, { skip }, async () => {})
    return
  }
  const folders = fs
    .readdirSync(shared(home), { withFileTypes: true })
    .filter(entry => entry.isDirectory() && entry.name.startsWith(`${kernel}-`))
    .map(({ name }) => name)
    .sort()
  t.ok(folders.length > 0)
  for (const name of folders)
    void t.test(name, async t => {
      const folder = { ...parse<Folder>(name, 'layout.json'), name }
      const shown = parse<Shown>(name, 'expected/list.json')
      const before = readShared(home, name, 'region.img.gz')
      const path = file(t, before)
      const source = folder.layout.backend === 'blk' ? `zone:${path}` : path
      if (/-(damaged|mixed)/.test(name)) checkFacts(t, folder, shown, source)
      else {
        const expected = expectedOf(folder, shown)
        checkMount(t, folder, shown, expected, source)
        checkCommands(t, folder, expected, source)
      }
      t.ok(fs.readFileSync(path).equals(before), 'reading has changed nothing')
    })
}
