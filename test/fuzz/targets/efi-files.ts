/** Files that list EFI variables: QEMU's JSON, AWS's blob. */
import zlib from 'node:zlib'
import { attach } from '#src/index.js'
import { ringGuid, vendorGuid } from '#src/backends/efi/names.js'
import { jsonOf, listOf, wrapped } from '../../model/variable-files.js'
import { checkBackend, Scratch, type Target } from '../target.js'

const file = new Scratch()
const variables = [
  {
    name: 'dump-type0-1-1-1700000000-D',
    guid: vendorGuid,
    data: Buffer.from('Panic#1 Part1\ntext'),
  },
  { name: 'dump-type0-2-1-1700000000-C', guid: vendorGuid, data: Buffer.from([0x4b, 4, 0]) },
  { name: 'tty-0-4', guid: ringGuid, data: Buffer.from('ring') },
  { name: 'PK', guid: ringGuid, data: Buffer.from('key'), attr: 0x27 },
]

export const target: Target = {
  seeds: () => [
    Buffer.from(`J${jsonOf(variables)}`),
    Buffer.concat([Buffer.from('L'), listOf(variables)]),
    Buffer.concat([Buffer.from('B'), wrapped(zlib.deflateSync(listOf(variables)))]),
  ],
  words: ['"variables"', '"UefiData"', '"data": "', '\0\0\0\0\0\0\0\0', 'dump-type', vendorGuid],
  longest: 8192,
  /** The first byte says what the rest is: L, a list that gets a stream and a checksum around it. */
  run(input) {
    const rest = input.subarray(1)
    // Stored as it is: a store shows no more than it holds.
    const bytes = input[0] === 0x4c ? wrapped(zlib.deflateSync(rest, { level: 0 })) : rest
    file.write(bytes)
    checkBackend(() => attach(`efi:${file.path}`, { tty_size: 4096 }), file, bytes)
  },
}
