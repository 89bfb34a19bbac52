/** Appending: the library against pwrite(2) of the same bytes to tmpfs. */
import fs from 'node:fs'
import { attach, format, type AttachOptions } from '#src/index.js'
import { inMemory, inTurns, print, rate } from './measure.js'

const M = 2 ** 20
const layout: AttachOptions = { record_size: 0, console_size: 4 * M, pmsg_size: 0, ftrace_size: 0 }

export const benchWrite = (): Promise<void> =>
  inMemory(async folder => {
    for (const ecc of [0, 16]) {
      const source = `${folder}/ecc${ecc}.img`
      format(source, { ...layout, ecc, mem_size: 4 * M })
      const backend = attach(source, { ...layout, ecc, map: true })
      const fd = fs.openSync(`${folder}/plain`, 'w+')
      for (const [size, count] of [
        [64, 200_000],
        [1024, 50_000],
        [65536, 1000],
      ] as const) {
        const bytes = Buffer.alloc(size, 'x')
        // Parity makes it slower by so much that fewer tell as much.
        const n = ecc ? count / 5 : count
        const [appended, written] = await inTurns(
          () => {
            for (let i = 0; i < n; i++) backend.write({ type: 'console', bytes })
          },
          () => {
            for (let i = 0, at = 0; i < n; i++, at = (at + size) % (4 * M))
              fs.writeSync(fd, bytes, 0, size, at)
          },
        )
        print(
          `append ${size} B, ecc ${ecc}`,
          `${((n / appended) * 1000).toFixed(0)} records/s, ${rate(n * size, appended)}: ${(written / appended).toFixed(2)} × the rate of pwrite (${rate(n * size, written)})`,
        )
      }
      fs.closeSync(fd)
      backend.close()
    }
  })
