/**
 * What reading through a mount costs, beside other servers of the same records. Each server is mounted once a
 * round, in random order, so that a noisy machine is noisy for all; a ratio is of one round.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { attach, format } from '#src/index.js'
import { median, print } from './measure.js'
import { clientOf, layoutOf, Mounted, serversHere, type Server, type Shown } from './servers.js'

const rounds = 7
const M = 2 ** 20

/** The most that something may be of the C peer's. */
const goals: { readonly [what: string]: number } = {
  'ls -l of 2,000 records': 1.6,
  'ls -l again': 1.6,
  'cat of 2,000 records': 1.5,
  'cat of 2,000 records, CPU': 2.5,
  'cat again': 1.5,
  'cat again, CPU': 2.5,
  'read of 64 MiB': 1.1,
  'read again': 1.1,
}

interface Measured {
  readonly value: number
  readonly unit: 'ms' | 'µs' | 'MB'
}

/** By what was measured, in the order in which it was. */
type Round = Map<string, Measured>

/** Two regions, and how they are looked at. */
interface Job {
  /** 2,000 dumps of 4 KiB. */
  readonly dumps: Shown
  /** A full console of 64 MiB. */
  readonly ring: Shown
  readonly mountpoint: string
  /** client.c; null where it cannot be compiled. */
  readonly client: string | null
}

const measure = async (
  server: Server,
  { dumps, ring, mountpoint, client }: Job,
): Promise<Round> => {
  const round: Round = new Map()
  const start = performance.now()
  let mounted = new Mounted(server, dumps, mountpoint)
  round.set('start to first ls', { value: performance.now() - start, unit: 'ms' })

  const time = (what: string, script: string): void => {
    const cpu = mounted.cpu()
    const from = performance.now()
    // From within: the way to the folder is not what is measured.
    execFileSync('sh', ['-c', script], { cwd: mounted.folder, stdio: 'ignore' })
    round.set(what, { value: performance.now() - from, unit: 'ms' })
    round.set(`${what}, CPU`, { value: mounted.cpu() - cpu, unit: 'ms' })
  }
  const weigh = (what: string): void => {
    round.set(what, { value: mounted.memory(), unit: 'MB' })
  }

  weigh('memory, idle')
  time('ls -l of 2,000 records', 'ls -l')
  time('ls -l again', 'ls -l')
  time('cat of 2,000 records', 'cat dmesg-*')
  time('cat again', 'cat dmesg-*')
  // tar reads nothing where it writes to /dev/null.
  time('tar of them', 'tar -cf - . | cat')
  if (client) {
    const [half, most] = execFileSync(client, [mounted.folder], { encoding: 'latin1' }).split(' ')
    round.set('open, read, close: median', { value: Number(half), unit: 'µs' })
    round.set('open, read, close: 99 of 100', { value: Number(most), unit: 'µs' })
  }
  weigh('memory, after all that')
  await mounted.end()

  mounted = new Mounted(server, ring, mountpoint)
  time('read of 64 MiB', 'dd if=console-ramoops-0 bs=1M')
  time('read again', 'dd if=console-ramoops-0 bs=1M')
  weigh('memory, after 64 MiB')
  await mounted.end()
  return round
}

/** A sum of all that a server shows; the peers have to do the same job. */
const sumOf = async (server: Server, { dumps, ring, mountpoint }: Job): Promise<string> => {
  let sums = ''
  for (const shown of [dumps, ring]) {
    const mounted = new Mounted(server, shown, mountpoint)
    const script = 'ls | sha256sum; stat -c %n,%s * | sha256sum; cat * | sha256sum'
    sums += execFileSync('sh', ['-c', script], { cwd: mounted.folder, encoding: 'latin1' })
    await mounted.end()
  }
  return sums
}

const digits = (n: number): string => n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0)

const printAll = (all: readonly ReadonlyMap<Server, Round>[], servers: readonly Server[]): void => {
  const [ours, ...others] = servers
  for (const [what, { unit }] of all[0]!.get(ours!)!) {
    const of = (server: Server): number[] => all.map(round => round.get(server)!.get(what)!.value)
    const values = of(ours!)
    const told = others.map(server => {
      const ratios = of(server).map((value, i) => values[i]! / value)
      const figures = [Math.min(...ratios), median(ratios), Math.max(...ratios)].map(digits)
      const goal = server.name === 'C' && what in goals ? ` (goal ${goals[what]})` : ''
      return `${figures.join('/')} × ${server.name}${goal}`
    })
    print(what, [`${digits(median(values))} ${unit}`, ...told].join(', '))
  }
}

const make = (folder: string): Omit<Job, 'client'> => {
  // In a store of one each takes the other's place: in one of 2,000 each would look for its own.
  const dumps = { source: `${folder}/dumps.img`, recordSize: 4096, consoleSize: 0 }
  const one = `${folder}/one.img`
  format(one, { ...layoutOf(dumps), mem_size: 4096 })
  const store = attach(one, layoutOf(dumps))
  for (let i = 0; i < 2000; i++) {
    const bytes = Buffer.alloc(4000, `Panic#${i} Part1\nsome text\n`)
    store.write({ type: 'dmesg', bytes, time: { sec: BigInt(i + 1), nsec: 0 } })
    fs.appendFileSync(dumps.source, fs.readFileSync(one))
  }
  store.close()
  const ring = { source: `${folder}/console.img`, recordSize: 0, consoleSize: 64 * M }
  format(ring.source, { ...layoutOf(ring), mem_size: 64 * M })
  const console = attach(ring.source, { ...layoutOf(ring), map: true })
  const text = Buffer.alloc(M, 'what the console said before it died\n')
  // More than it holds: it has wrapped.
  for (let i = 0; i < 70; i++) console.write({ type: 'console', bytes: text })
  console.close()
  const mountpoint = `${folder}/mnt`
  fs.mkdirSync(mountpoint)
  return { dumps, ring, mountpoint }
}

/** @param folder in memory */
export const benchMounted = async (folder: string): Promise<void> => {
  const made = make(folder)
  const missing = (why: string): void => print('left out', why)
  const job: Job = { ...made, client: clientOf(missing) }
  const servers = await serversHere(job.dumps, job.mountpoint, missing)
  const sums = new Set<string>()
  for (const server of servers) sums.add(await sumOf(server, job))
  if (sums.size > 1) throw new Error('bench: the servers do not show the same: see sumOf')

  const all: Map<Server, Round>[] = []
  for (let i = 0; i < rounds; i++) {
    const round = new Map<Server, Round>()
    const order = servers
      .map(server => ({ server, at: Math.random() }))
      .toSorted((a, b) => a.at - b.at)
    for (const { server } of order) round.set(server, await measure(server, job))
    all.push(round)
  }
  print(`${rounds} rounds`, 'median of ours, and min/median/max of the rounds’ ratios')
  printAll(all, servers)
}
