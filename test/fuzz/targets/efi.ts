/** A UEFI variable store. */
import { attach } from '#src/index.js'
import { ringGuid, vendorGuid } from '#src/backends/efi/names.js'
import { makeStore } from '../../backends/efi/stores.js'
import { fixtures } from '../../fixtures.js'
import { checkBackend, Scratch, type Target } from '../target.js'

const file = new Scratch()
const unicode = (text: string): string => Buffer.from(text, 'utf16le').toString('latin1')

export const target: Target = {
  seeds: () => [
    ...fixtures('efi-').map(({ region }) => region().subarray(0, 32768)),
    ...[true, false].map(
      authenticated =>
        makeStore(
          [
            { name: 'dump-type0-1-1-1700000000-C', data: Buffer.from([0x4b, 4, 0]) },
            { name: 'dump-type0-2-1-1700000000-D', data: 'Panic#1 Part2\ntext' },
            { name: 'dump-type0-3-1700000001' },
            { name: 'dump-type0-3-1700000001', state: 0x3c },
            { name: 'dump-type0-4-1-1700000000-D', state: 0x3e },
            { name: 'tty-0-4', vendor: ringGuid },
            { name: 'tty-2-4', vendor: ringGuid },
            { name: 'Boot0000', vendor: '8be4df61-93ca-11d2-aa0d-00e098032b8c' },
          ],
          { authenticated, length: 8192 },
        ).bytes,
    ),
  ],
  words: [
    unicode('dump-type'),
    unicode('-'),
    unicode('18446744073709551615'),
    unicode('tty-'),
    unicode('console-0-4'),
    '\xaa\x55\x3f\0',
    '\xaa\x55\x3c\0',
    '\xaa\x55\x7f\0',
    '_FVH',
    vendorGuid,
  ],
  longest: 32768,
  run(bytes) {
    file.write(bytes)
    checkBackend(() => attach(`efi:${file.path}`, { tty_size: 4096 }), file, bytes)
  },
}
