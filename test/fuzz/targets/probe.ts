/** Memory with regions that nobody described: what is found must hold zones, and be readable. */
import assert from 'node:assert/strict'
import { attach } from '#src/index.js'
import { fixtures } from '../../fixtures.js'
import { randomLayout, randomRegion } from '../../model/make.js'
import { Random } from '../../random.js'
import { checkRegions } from '../regions.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()

/** An ELF core with one piece of memory. */
const core = (memory: Buffer): Buffer => {
  const head = Buffer.alloc(64 + 56)
  head.write('\x7fELF\x02\x01\x01', 'latin1')
  head.writeUInt16LE(4, 16)
  head.writeBigUInt64LE(64n, 32)
  head.writeUInt16LE(56, 54)
  head.writeUInt16LE(1, 56)
  head.writeUInt32LE(1, 64)
  head.writeBigUInt64LE(120n, 72)
  head.writeBigUInt64LE(0x8000000n, 88)
  head.writeBigUInt64LE(BigInt(memory.length), 96)
  return Buffer.concat([head, memory])
}

export const target: Target = {
  seeds() {
    const real = fixtures()
      .filter(({ backend, layout }) => backend === 'ramoops' && layout.mem_size <= 4096)
      .map(({ region }) => region())
    const random = new Random(1)
    const made = Array.from({ length: 20 }, () => {
      const layout = { ...randomLayout(random), mem_size: random.pick([4096, 8192]) }
      try {
        return randomRegion(random, layout)
      } catch {
        return Buffer.alloc(0) // not so large
      }
    })
    return [...real, ...real.slice(0, 2).map(core), ...made]
  },
  words: ['\xff\x0c\x06\x43', 'DBGC\0\0\0\0\0\0\0\0', 'DBGC\x01\0\0\0\x01\0\0\0', '\x7fELF'],
  longest: 8192,
  run(bytes) {
    file.write(bytes)
    for (const { certain, parameters, mem_address, mem_size } of checkRegions(file.path)) {
      assert.ok(mem_address + mem_size <= bytes.length, 'a region lies in its source')
      const backend = attach(file.path, { ...parameters, mem_address, readOnly: true })
      try {
        const isThere = Array.from(backend.survey.conditions(), ({ state }) => state !== 'unsigned')
        if (certain) assert.ok(!isThere.includes(false), 'all zones are there')
      } finally {
        backend.close()
      }
    }
    assert.ok(file.read().equals(bytes))
  },
}
