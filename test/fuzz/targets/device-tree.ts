/** What a file says of regions elsewhere: a flattened device tree. */
import { makeBlob, u32, type Tree } from '../../backends/ramoops/blob.js'
import { checkRegions } from '../regions.js'
import { Scratch, type Target } from '../target.js'

const ramoops: Tree = {
  compatible: Buffer.from('ramoops\0'),
  reg: u32(0, 0x8000000, 0, 0x100000),
  'record-size': u32(0x4000),
  'console-size': u32(0x8000),
  'ftrace-size': u32(0x4000),
  'pmsg-size': u32(0x4000),
  'ecc-size': u32(16),
  'max-reason': u32(5),
}
const cells = { '#address-cells': u32(2), '#size-cells': u32(2) }

const file = new Scratch()

export const target: Target = {
  seeds: () => [
    makeBlob({ ...cells, 'reserved-memory': { ...cells, 'ramoops@8000000': ramoops } }),
    makeBlob({
      'ramoops@0': {
        compatible: Buffer.from('x\0ramoops\0'),
        reg: u32(0, 0, 4096),
        'record-size': u32(1024),
        flags: u32(0),
      },
    }),
    makeBlob({ a: { b: { c: { d: {} } } } }),
  ],
  words: [
    '\0\0\0\x01',
    '\0\0\0\x02',
    '\0\0\0\x03',
    '\0\0\0\x04',
    '\0\0\0\x09',
    'ramoops\0',
    '\xd0\x0d\xfe\xed',
  ],
  longest: 16384,
  run(bytes) {
    file.write(bytes)
    checkRegions(file.path)
  },
}
