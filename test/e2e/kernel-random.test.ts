/**
 * Random layouts and records, held to a real kernel in both directions: what is written here, the
 * guest shows; what it unlinks is gone here; what it writes as it crashes is read here; what is erased
 * here is gone there. `scripts/kernel-test --runs N --seed S` does more of it.
 */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions, type Backend } from '#src/index.js'
import { writeDump } from '#src/frontends/dmesg.js'
import { folder, succeed } from '../program.js'
import { Random, randomFor } from '../random.js'
import { bootGuest, skipWithoutGuest, type GuestFile, type Parameters } from './guest.js'

const skip = skipWithoutGuest()
const runs = Number(process.env.RUNS ?? 2)
const types = ['console', 'pmsg', 'dmesg'] as const
const reasons = ['panic', 'oops', 'emergency', 'shutdown', 'halt', 'poweroff'] as const

/** A store for both: as options here, and as module parameters there. */
interface Store {
  source: string
  options: AttachOptions
  /** The same as options of the command line. */
  args: string[]
  guest: { cpus: number } & (
    { region: string; ramoops: Parameters } | { disk: string; blk: Parameters }
  )
}

const argsOf = (options: AttachOptions): string[] =>
  Object.entries(options).flatMap(([name, value]) => [`--${name.replace('_', '-')}`, String(value)])

/** Make a store of a random layout that is not refused here; a kernel must take it too. */
const makeRamoops = (random: Random, file: string): Store => {
  for (;;) {
    const size = (): number =>
      random.pick([0, 1024, 4096, 16384, random.between(600, 70_000), 2 ** random.between(9, 16)])
    const ramoops = {
      record_size: size(),
      console_size: size(),
      ftrace_size: size(),
      pmsg_size: size(),
      ecc: random.pick([0, 0, 1, 2, 8, random.between(3, 64)]),
    }
    const cpus = random.between(1, 3)
    // Debian 12's kernel is of before 6.2.
    const options = { ...ramoops, cpus, preset: 'linux-pre-6.2' }
    try {
      format(file, { ...options, mem_size: random.between(40_000, 400_000) })
    } catch {
      continue
    }
    // A kernel of this age has no limit of its own, but the test should end.
    const { record_size: record, pmsg_size: pmsg, console_size: ring } = ramoops
    const dumps = record ? fs.statSync(file).size / record : 0
    if (dumps < 60 && pmsg + ring + dumps > 0)
      return {
        source: file,
        options,
        args: argsOf(options),
        guest: { region: file, ramoops, cpus },
      }
    fs.rmSync(file)
  }
}

const makeBlk = (random: Random, file: string): Store => {
  // KiB, in fours: the kernel rounds nothing here.
  const size = (least: number): number => 4 * random.between(least, 12)
  const blk = {
    kmsg_size: size(1),
    pmsg_size: size(0),
    console_size: size(0),
    ftrace_size: size(0),
  }
  const cpus = random.between(1, 3)
  const bytes = Object.entries(blk).map(([name, kib]) => [name, kib * 1024])
  const options = { ...(Object.fromEntries(bytes) as AttachOptions), cpus }
  const source = `zone:${file}`
  format(source, { ...options, mem_size: 4096 * random.between(60, 200) })
  return { source, options, args: argsOf(options), guest: { disk: file, blk, cpus } }
}

const text = (random: Random, length: number): Buffer => {
  let log = ''
  while (log.length < length)
    log += `<${random.below(8)}>[ ${random.below(9999)}.${random.below(1e6)}] ${'abcdefgh'.repeat(random.below(9))} ${random.below(1e9)}\n`
  return Buffer.from(log.slice(0, length))
}

/** Put something into every zone, or nothing. */
const fill = (random: Random, backend: Backend): void => {
  for (const type of types) {
    const room = backend.capacity(type)?.room ?? 0
    if (room <= 0) continue
    for (let i = random.below(type === 'dmesg' ? 7 : 4); i > 0; i--) {
      const length = random.pick([1, room, random.between(1, room), random.between(1, 3 * room)])
      const bytes = random.below(4) ? text(random, length) : random.bytes(length)
      if (type === 'dmesg')
        writeDump(backend, bytes, { reason: random.pick(reasons), compress: random.below(3) > 0 })
      else backend.write({ type, bytes })
    }
  }
}

interface Shown {
  name: string
  size: number
  mtime: string | null
  bytes: Buffer
}

/** What the commands show of it, in Linux's order. */
const show = (t: Test, { source, args }: Store): Shown[] => {
  const list = JSON.parse(succeed(t, ['ls', '--json', source, ...args]).toString()) as Shown[]
  return list.map(({ name, size, mtime }) => ({
    name,
    size,
    mtime,
    bytes: succeed(t, ['cat', source, name, ...args]),
  }))
}

/** The guest lists the same files, the newest inode first. */
const same = (t: Test, own: Shown[], files: GuestFile[]): void => {
  t.same(
    files.map(({ name }) => name),
    own.map(({ name }) => name).reverse(),
    'names',
  )
  for (const { name, size, mtime, bytes } of own) {
    const file = files.find(file => file.name === name)
    if (!file) continue
    t.same([file.size, file.mode, file.uid, file.gid], [size, 0o100444, 0, 0], name)
    if (mtime !== null) t.equal(file.mtime, mtime, `${name}: its time`)
    t.ok(file.bytes.equals(bytes), `${name}: its bytes`)
  }
}

const names = (shown: Shown[]): string[] => shown.map(({ name }) => name)

for (const [kind, make] of Object.entries({ ramoops: makeRamoops, pstore_blk: makeBlk }))
  t.test(`${runs} random ${kind} stores`, { skip }, async t => {
    const seeds = randomFor(t)
    for (let run = 0; run < runs; run++) {
      // The first of a run has the run's own seed, so that one can be had again.
      const seed = run === 0 ? seeds.seed : seeds.below(2 ** 31)
      await t.test(`seed ${seed}`, async t => {
        const random = new Random(seed)
        const store = make(random, `${folder(t)}/store.img`)
        t.comment(JSON.stringify(store.options))
        const backend = attach(store.source, store.options)
        t.teardown(() => backend.close())
        fill(random, backend)

        const written = show(t, store)
        const unlink = names(written).filter(() => random.below(3) === 0)
        // pstore_blk keeps nothing of a panic.
        const crash = kind === 'ramoops'
        const first = await bootGuest({ ...store.guest, unlink, crash })
        same(t, written, first.files)

        const left = show(t, store)
        const dumpSize = backend.capacity('dmesg')?.room ?? 0
        const panicked = crash && dumpSize > 0
        if (panicked) {
          // Every boot writes its dumps from zone 0 on.
          const dump = left.find(({ name }) => name.startsWith(`dmesg-${backend.name}-0`))
          t.match(dump?.bytes.toString('latin1', 0, 14), 'Panic#1 Part1\n')
          t.ok(Math.abs(Number(dump?.mtime) - Date.now() / 1000) < 600, 'the time of the panic')
        }
        // Attaching has emptied ramoops's rings; a panic has taken the place of the first dump.
        const stays = ({ name }: Shown): boolean =>
          !unlink.includes(name) &&
          (kind !== 'ramoops' || name.startsWith('dmesg')) &&
          !(panicked && /^dmesg-ramoops-0(\.|$)/.test(name))
        t.same(
          left.filter(({ name }) => !(panicked && name === 'dmesg-ramoops-0')),
          written.filter(stays),
          'what the guest unlinked is gone, all else is as it was',
        )

        for (const type of types)
          if (type !== 'dmesg' && (backend.capacity(type)?.room ?? 0) > 0)
            backend.write({
              type,
              bytes: random.bytes(random.below(2 * (backend.capacity(type)?.room ?? 0))),
            })
        // Not what the guest wrote: that it shows next, as it was read here.
        const record = [...backend.records()].findLast(
          ({ name }) => !(panicked && name === 'dmesg-ramoops-0'),
        )
        if (record) record.erase()
        const again = show(t, store)
        t.notOk(record && names(again).includes(record.name))
        same(t, again, (await bootGuest(store.guest)).files)
      })
    }
  })
