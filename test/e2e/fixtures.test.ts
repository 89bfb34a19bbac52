/**
 * What real kernels wrote, shown as those kernels showed it: through the mount, through `cat` and
 * through `ls`. Where the result is another on purpose, fixtures/README.md says why.
 */
import fs from 'node:fs'
import zlib from 'node:zlib'
import path from 'node:path'
import t, { type Test } from 'tap'
import {
  fixtureFolder,
  fixtures,
  layoutOptions,
  type Fixture,
  type FixtureFile,
} from '../fixtures.js'
import { file, mount, pstorefs, succeed } from '../program.js'

const kallsyms = ['--kallsyms', path.join(fixtureFolder, 'kallsyms.gz')]
/** Symbols are for ftrace, and take longer to read than a region. */
const optionsOf = (fixture: Fixture): string[] => [
  ...layoutOptions(fixture),
  ...(fixture.files.some(({ name }) => name.startsWith('ftrace-')) ? kallsyms : []),
]

/** Files that Linux does not show, and this program does. */
const extra: { [fixture: string]: string[] } = {
  // Linux ends its enumeration at an empty record.
  'dmesg-empty-body': ['console-ramoops-0', 'dmesg-ramoops-2'],
  // Linux drops the ftrace zones of another version.
  'ftrace-other-version': ['ftrace-ramoops-0'],
}

/** What fuse-native cannot carry: times before 1970 and beyond the calendar (native-notes). */
const unshowable = new Set([
  'dmesg-header-variants/dmesg-ramoops-9',
  'dmesg-header-variants/dmesg-ramoops-15',
])

interface Expected extends FixtureFile {
  bytes: Buffer
}

/** A fixture's files as they should be here. */
const expectedOf = (fixture: Fixture): Map<string, Expected> =>
  new Map(
    fixture.files.map(file => {
      const bytes = fixture.file(file.name)
      if (fixture.compress !== 'none' || !file.name.endsWith('.enc.z'))
        return [file.name, { ...file, bytes }]
      // A kernel that was told not to compress does not inflate either.
      const text = zlib.inflateRawSync(bytes)
      const name = file.name.slice(0, -'.enc.z'.length)
      return [name, { ...file, name, bytes: text, size: text.length }]
    }),
  )

/** Compare a file's bytes; with parity, ftrace's are the records where Linux prints nonsense. */
const sameBytes = (
  t: Test,
  fixture: Fixture,
  { name, size, bytes }: Expected,
  found: Buffer,
): void => {
  if (fixture.layout.ecc && name.startsWith('ftrace-')) {
    const lines = found.toString('latin1').split('\n').slice(0, -1)
    // The notice is counted, and not shown: 25 bytes, or more where there is more to say.
    const rest = size - 24 * lines.length
    t.ok(rest >= 25 && rest < 100, `${name}: a line a record`)
    t.ok(
      lines.every(line =>
        /^CPU:\d+ ts:\d+ [0-9a-f]{8,16}  [0-9a-f]{8,16}  \S+( \[\w+\])? <- \S+/.test(line),
      ),
      `${name}: each of them sound`,
    )
    if (fixture.name.endsWith('-all')) t.match(lines[0], /^CPU:[01] ts:\d+ ffffffff8/)
    return
  }
  if (!found.equals(bytes))
    t.fail(`${name}: ${found.length} bytes are not the ${bytes.length} expected`)
}

const ms = ({ sec, nsec }: { sec: bigint; nsec: number }): bigint =>
  sec * 1000n + BigInt(Math.floor(nsec / 1e6))

const isFtrace = ({ name }: Expected): boolean => name.startsWith('ftrace-')

/** Like cat(1). Node's readFile stops at st_size, and an ftrace file's text is longer. */
const readToEnd = (path: string): Buffer => {
  const fd = fs.openSync(path, 'r')
  const pieces: Buffer[] = []
  for (;;) {
    const piece = Buffer.alloc(65536)
    const n = fs.readSync(fd, piece)
    if (n === 0) break
    pieces.push(piece.subarray(0, n))
  }
  fs.closeSync(fd)
  return Buffer.concat(pieces)
}

const names = (folder: string): string[] => {
  const found: string[] = []
  const dir = fs.opendirSync(folder)
  // Node's readdir sorts.
  for (let entry = dir.readSync(); entry; entry = dir.readSync()) found.push(entry.name)
  dir.closeSync()
  return found
}

const checkMount = (t: Test, fixture: Fixture, region: string): void => {
  const expected = expectedOf(fixture)
  const mountpoint = mount(t, region, optionsOf(fixture))
  const root = fs.statSync(mountpoint)
  t.same([root.mode, root.uid, root.gid, root.size], [0o040750, 0, 0, 0], 'the root')
  const shown = names(mountpoint)
  const additional = extra[fixture.name] ?? []
  const wanted = fixture.readdir_order!.map(name =>
    expected.has(name) ? name : name.replace('.enc.z', ''),
  )
  t.same(
    shown.filter(name => !additional.includes(name)),
    [...wanted, 'ramoops'],
    'the names, in their order, and the folder',
  )
  for (const name of additional)
    t.ok(fs.readFileSync(`${mountpoint}/${name}`).length > 0, `${name} too`)
  for (const file of expected.values()) {
    const stat = fs.statSync(`${mountpoint}/${file.name}`, { bigint: true })
    t.same(
      [stat.mode, stat.uid, stat.gid, stat.nlink, stat.size, stat.blksize, stat.blocks],
      [BigInt(file.mode), BigInt(file.uid), BigInt(file.gid), 2n, BigInt(file.size), 4096n, 0n],
      `${file.name}: its attributes`,
    )
    if (!file.mtime_is_mount_time && !unshowable.has(`${fixture.name}/${file.name}`))
      t.same(
        [stat.mtimeMs, stat.ctimeMs],
        [ms(file.mtime), ms(file.mtime)],
        `${file.name}: its time`,
      )
    sameBytes(t, fixture, file, readToEnd(`${mountpoint}/${file.name}`))
    const link = fs.statSync(`${mountpoint}/ramoops/${file.name}`, { bigint: true })
    t.equal(link.ino, stat.ino, `${file.name}: one inode in the folder`)
  }
}

const checkCommands = (t: Test, fixture: Fixture, region: string): void => {
  const expected = expectedOf(fixture)
  const list = JSON.parse(
    succeed(t, ['ls', '--json', region, ...optionsOf(fixture)]).toString(),
  ) as {
    name: string
    size: number
    mtime: string | null
    ecc: object | null
  }[]
  const additional = extra[fixture.name] ?? []
  t.same(list.map(({ name }) => name).sort(), [...expected.keys(), ...additional].sort())
  for (const { name, size, mtime, ecc } of list) {
    const file = expected.get(name)
    if (!file) continue
    t.equal(size, file.size, `${name}: its size`)
    t.equal(ecc !== null, Boolean(fixture.layout.ecc))
    if (file.mtime_is_mount_time) t.equal(mtime, null)
    else
      t.equal(
        BigInt(mtime!.replace('.', '')),
        file.mtime.sec * 1_000_000_000n + BigInt(file.mtime.nsec),
      )
  }
  // All in one go; ftrace last, because with parity its length is not the fixture's.
  const files = [...expected.values()].sort((a, b) => Number(isFtrace(a)) - Number(isFtrace(b)))
  if (files.length === 0) return
  let rest = succeed(t, ['cat', region, ...files.map(({ name }) => name), ...optionsOf(fixture)])
  for (const file of files) {
    const own = isFtrace(file) ? rest : rest.subarray(0, file.bytes.length)
    sameBytes(t, fixture, file, own)
    rest = rest.subarray(own.length)
  }
}

/** Unlink as the guest did; what is erased on the media is what the kernel erased. */
const checkErasures = (t: Test, fixture: Fixture): void => {
  for (const run of fixture.erased) {
    const region = file(t, fixture.region())
    const mountpoint = mount(t, region, optionsOf(fixture))
    for (const name of run.names) fs.unlinkSync(`${mountpoint}/${name}`)
    t.same(
      names(mountpoint).filter(name => name !== 'ramoops'),
      run.files,
      `without ${run.names.join()}`,
    )
    const [before, after, kernels] = [fixture.region(), fs.readFileSync(region), run.region()]
    for (const zone of fixture.zones!) {
      const slice = (image: Buffer): Buffer => image.subarray(zone.offset, zone.offset + zone.size)
      const ftrace = zone.type === 'ftrace'
      const erased = run.names.some(name =>
        zone.type === 'dmesg'
          ? name.startsWith(`dmesg-ramoops-${zone.id}`)
          : name.startsWith(zone.type),
      )
      if (!erased) {
        if (!slice(after).equals(slice(before))) t.fail(`${zone.type} ${zone.id} was changed`)
        continue
      }
      t.same(
        after.subarray(zone.offset + 4, zone.offset + 12),
        Buffer.alloc(8),
        `${zone.type} ${zone.id}: empty`,
      )
      // Linux erases one CPU's ftrace zone only.
      if (ftrace && zone.id > 0) continue
      const header = (image: Buffer): Buffer => image.subarray(zone.offset, zone.offset + 12)
      t.same(
        header(after),
        header(kernels),
        `${zone.type} ${zone.id}: its header as the kernel leaves it`,
      )
      const ecc = fixture.layout.ecc === 1 ? 16 : (fixture.layout.ecc ?? 0)
      const blocks = ecc && Math.ceil((zone.size - 12 - ecc) / (128 + ecc))
      const parityAt = zone.offset + 12 + zone.data_size + blocks * ecc
      t.same(
        after.subarray(parityAt, parityAt + ecc),
        kernels.subarray(parityAt, parityAt + ecc),
        'and its parity',
      )
    }
  }
}

t.jobs = 2
for (const fixture of fixtures().filter(({ backend }) => backend === 'ramoops')) {
  const refused = !fixture.complete || fixture.refusal !== undefined
  void t.test(`${fixture.name}: ${fixture.description}`, { buffered: true }, async t => {
    const region = file(t, fixture.region())
    if (refused) {
      const { status, stderr } = pstorefs(['ls', region, ...optionsOf(fixture)])
      t.equal(status, 1)
      t.match(stderr, /^pstorefs: [^\n]+\n$/)
      // The kernel's own reason, without its own addresses.
      const reasons = (fixture.refusal ?? []).map(
        line => /(\w+ record count == 0 .*|invalid ecc_size .*\)|init_rs failed)/.exec(line)?.[1],
      )
      for (const reason of reasons) if (reason) t.match(stderr, reason)
      return
    }
    checkMount(t, fixture, region)
    checkCommands(t, fixture, region)
    t.ok(fs.readFileSync(region).equals(fixture.region()), 'reading has changed nothing')
    checkErasures(t, fixture)
  })
}
