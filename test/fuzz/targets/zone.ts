/** A pstore_blk store with any layout and any bytes. The first bytes choose the layout, in pages. */
import { attach, type AttachOptions } from '#src/index.js'
import { fixtures } from '../../fixtures.js'
import { checkBackend, Scratch, type Target } from '../target.js'

const headSize = 6
const page = 4096
const sizes = ['kmsg_size', 'pmsg_size', 'console_size', 'ftrace_size', 'tty_size'] as const

const file = new Scratch()

export const target: Target = {
  seeds() {
    const seeds = fixtures('blk-').flatMap(({ layout, region }) => {
      const bytes = region()
      const pages = (kib = 0): number => (kib * 1024) / page
      const { kmsg_size, pmsg_size, console_size, ftrace_size, cpus = 1 } = layout
      const whole = [kmsg_size, pmsg_size, console_size, ftrace_size, 0].map(pages)
      return [
        Buffer.concat([Buffer.of(cpus, ...whole), bytes]),
        // Only the first zones, and only dumps: small inputs are quick.
        Buffer.concat([
          Buffer.of(cpus, 0, pages(pmsg_size), pages(console_size), 0, 0),
          bytes.subarray(0, 12 * page),
        ]),
        Buffer.concat([Buffer.of(cpus, 2, 0, 0, 0, 0), bytes.subarray(-8 * page)]),
      ]
    })
    return [
      ...seeds,
      Buffer.concat([Buffer.of(3, 1, 1, 1, 1, 1), Buffer.alloc(6 * page, 'DBGC\x01\0\0\0')]),
    ]
  },
  words: [
    'CBGC\x01\0\0\0\0\0\0\0',
    'DBGC\x40\0\0\0\0\0\0\0',
    '\xe5\x3a\xfc\x4d',
    'FBGC',
    'GBGC',
    'CGBC',
  ],
  longest: 12 * page + headSize,
  run(bytes) {
    if (bytes.length <= headSize + page) return
    const options: AttachOptions = { cpus: 1 + ((bytes[0] + 15) % 16) }
    sizes.forEach((size, i) => (options[size] = (bytes[1 + i] % 16) * page))
    const store = bytes.subarray(headSize, bytes.length - ((bytes.length - headSize) % page))
    file.write(store)
    checkBackend(() => attach(`zone:${file.path}`, options), file, Buffer.from(store))
  },
}
