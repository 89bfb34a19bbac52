/** Reading: verified against a plain copy, mounted against other servers, and what a daemon weighs. */
import fs from 'node:fs'
import { attach, format, type AttachOptions } from '#src/index.js'
import { codec, blockSize } from '#src/backends/ramoops/ecc.js'
import { inMemory, inTurns, print, rate } from './measure.js'
import { benchMounted } from './mounted.js'
import { layoutOf, Mounted, ours } from './servers.js'

const M = 2 ** 20

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

    await benchMounted(folder)

    const small = { source: `${folder}/small.img`, recordSize: 65536, consoleSize: 0 }
    const large = { source: `${folder}/large.img`, recordSize: M, consoleSize: 64 * M }
    const memory: number[] = []
    for (const [shown, size] of [
      [small, M],
      [large, 256 * M],
    ] as const) {
      format(shown.source, { ...layoutOf(shown), mem_size: size })
      const mounted = new Mounted(ours, shown, `${folder}/mnt`)
      memory.push(mounted.memory())
      await mounted.end()
    }
    print(
      'memory of a daemon on 256 MiB',
      `${memory[1].toFixed(0)} MB, ${(memory[1] / memory[0]).toFixed(2)} × that on 1 MiB (${memory[0].toFixed(0)} MB)`,
    )
  })
