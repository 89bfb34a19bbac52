/** Reading: verified against a plain copy, mounted against tmpfs, and what a daemon weighs. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { attach, format, type AttachOptions } from '#src/index.js'
import { codec, blockSize } from '#src/backends/ramoops/ecc.js'
import { daemonOf, program } from '../program.js'
import { inMemory, inTurns, print, rate } from './measure.js'

const M = 2 ** 20

const options = (layout: AttachOptions): string[] =>
  Object.entries(layout).flatMap(([name, value]) => [
    `--${name.replaceAll('_', '-')}`,
    String(value),
  ])

/** Mount, do something, unmount. */
const mounted = async (
  source: string,
  layout: AttachOptions,
  work: (mountpoint: string) => unknown,
): Promise<void> => {
  const mountpoint = `${source}.mnt`
  fs.mkdirSync(mountpoint, { recursive: true })
  execFileSync(process.execPath, [program, 'mount', source, mountpoint, ...options(layout)])
  try {
    await work(mountpoint)
  } finally {
    execFileSync('fusermount3', ['-u', mountpoint])
  }
}

/** The resident memory of a mount's daemon, in MB. */
const memoryOf = (mountpoint: string): number => {
  const status = fs.readFileSync(`/proc/${daemonOf(mountpoint)}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024
}

export const benchRead = (): Promise<void> =>
  inMemory(async folder => {
    // One ring of 64 MiB, full, with parity.
    const ring = `${folder}/ring.img`
    const layout: AttachOptions = {
      record_size: 0,
      console_size: 64 * M,
      pmsg_size: 0,
      ftrace_size: 0,
      ecc: 16,
    }
    format(ring, { ...layout, mem_size: 64 * M })
    const backend = attach(ring, { ...layout, map: true })
    const chunk = Buffer.alloc(M, 'what the console said before it died\n')
    for (let i = 0; i < 64; i++) backend.write({ type: 'console', bytes: chunk })
    const record = backend.find('console-ramoops-0')!
    const [verified, copied] = await inTurns(
      () => record.read(),
      () => fs.readFileSync(ring),
    )
    backend.close()
    print(
      'read a 64 MiB region with ecc 16',
      `${rate(64 * M, verified)}, ${(verified / copied).toFixed(1)} × the time of copying it (${rate(64 * M, copied)})`,
    )

    const data = Buffer.alloc(16 * M, 'x')
    const copy = Buffer.alloc(16 * M)
    const rs = codec(16)
    const parity = Buffer.alloc(16)
    rs.encode(data, 0, blockSize, parity, 0)
    const [checked, moved] = await inTurns(
      () => {
        for (let at = 0; at < data.length; at += blockSize)
          rs.decode(data, at, blockSize, parity, 0)
      },
      () => data.copy(copy),
    )
    print(
      'check the parity of clean blocks, ecc 16',
      `${rate(data.length, checked)} (goal 150), ${(checked / moved).toFixed(0)} × the time of a memcpy`,
    )

    // 2,000 dumps of 4 KiB.
    const dumps = `${folder}/dumps.img`
    const many: AttachOptions = { record_size: 4096, console_size: 0, pmsg_size: 0, ftrace_size: 0 }
    format(dumps, { ...many, mem_size: 2000 * 4096 })
    const store = attach(dumps, many)
    for (let i = 0; i < 2000; i++)
      store.write({
        type: 'dmesg',
        bytes: Buffer.alloc(4000, `Panic#${i} Part1\nsome text\n`),
        time: { sec: BigInt(i + 1), nsec: 0 },
      })
    store.close()
    await mounted(dumps, many, async mountpoint => {
      const plain = `${folder}/plain`
      fs.mkdirSync(plain)
      for (const name of fs.readdirSync(`${mountpoint}/ramoops`))
        fs.copyFileSync(`${mountpoint}/ramoops/${name}`, `${plain}/${name}`)
      const cat = (from: string) => () =>
        execFileSync('sh', ['-c', `cat ${from}/dmesg-* > /dev/null`])
      const ls = (from: string) => () => execFileSync('ls', ['-l', from], { stdio: 'ignore' })
      const [through, tmpfs] = await inTurns(cat(mountpoint), cat(plain))
      print(
        'cat 2,000 records of 4 KiB through the mount',
        `${through.toFixed(0)} ms, ${(through / tmpfs).toFixed(0)} × tmpfs (${tmpfs.toFixed(0)} ms)`,
      )
      const [listed, listedPlain] = await inTurns(ls(`${mountpoint}/ramoops`), ls(plain))
      print(
        'ls -l of 2,000 records',
        `${listed.toFixed(0)} ms, ${(listed / listedPlain).toFixed(0)} × tmpfs (${listedPlain.toFixed(0)} ms)`,
      )
    })

    const [started, node] = await inTurns(
      () =>
        mounted(dumps, many, mountpoint => execFileSync('ls', [mountpoint], { stdio: 'ignore' })),
      () => execFileSync(process.execPath, ['-e', '0']),
    )
    print(
      'start to first ls (and unmount)',
      `${started.toFixed(0)} ms, ${(started / node).toFixed(1)} × starting node (${node.toFixed(0)} ms)`,
    )

    const large = `${folder}/large.img`
    const big: AttachOptions = { record_size: M, console_size: 64 * M }
    format(large, { ...big, mem_size: 256 * M })
    const small = `${folder}/small.img`
    const tiny: AttachOptions = { record_size: 65536 }
    format(small, { ...tiny, mem_size: M })
    const memory: number[] = []
    for (const [source, layout] of [
      [small, tiny],
      [large, big],
    ] as const)
      await mounted(source, layout, mountpoint => {
        fs.readdirSync(mountpoint)
        memory.push(memoryOf(mountpoint))
      })
    print(
      'memory of a daemon on 256 MiB',
      `${memory[1].toFixed(0)} MB, ${(memory[1] / memory[0]).toFixed(2)} × that on 1 MiB (${memory[0].toFixed(0)} MB)`,
    )
  })
