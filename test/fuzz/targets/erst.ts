/** A store that QEMU keeps for ACPI ERST. */
import { attach } from '#src/index.js'
import { encodeCper } from '#src/backends/erst/cper.js'
import { encodeHeader } from '#src/backends/erst/slot-map.js'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { fixtures } from '../../fixtures.js'
import { checkBackend, Scratch, type Target } from '../target.js'

const file = new Scratch()
const size = 4096

/** A store with a record of each type that there is. */
const madeStore = (): Buffer => {
  const text = Buffer.from('Panic#1 Part1\nhello')
  const position = Buffer.alloc(8)
  const types = ['dmesg', 'dmesg', 'mce', 'tty', 'console', 'pmsg'] as const
  const slots = types.map((type, i) => {
    const compressed = i === 1
    const data = compressed ? deflate(text) : i > 2 ? Buffer.concat([position, text]) : text
    return encodeCper({ id: BigInt(i + 1), type, compressed, sec: 1_700_000_000n, data }, size)
  })
  const length = size * (slots.length + 3)
  const store = Buffer.alloc(length)
  encodeHeader(size, length).copy(store)
  slots.forEach((slot, i) => {
    store.writeBigUInt64LE(BigInt(i + 1), 24 + 8 * (i + 1))
    slot.copy(store, size * (i + 1))
  })
  store.writeUInt32LE(slots.length, 20)
  return store
}

export const target: Target = {
  seeds: () => [madeStore(), ...fixtures('erst-').map(({ region }) => region())],
  words: ['CPER', 'ERSTSTOR', 'ER\0\0', '\x01\0\0\0\0\0\0\0'],
  run(bytes) {
    file.write(bytes)
    checkBackend(() => attach(`erst:${file.path}`, { tty_size: size }), file, bytes)
  },
}
