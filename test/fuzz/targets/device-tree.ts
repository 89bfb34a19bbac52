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

const text = (word: string): Buffer => Buffer.from(`${word}\0`)
/** Overlays for each other, for themselves, for a label; and a node whose memory is another's. */
const overlays: Tree = {
  a: { phandle: u32(1), target: u32(2), __overlay__: { phandle: u32(2), ...cells, ramoops } },
  b: { target: u32(2), __overlay__: { ramoops: { ...ramoops, reg: u32(0x8000000, 0x100000) } } },
  c: { 'target-path': text('/a/__overlay__'), __overlay__: { __overlay__: { ramoops } } },
  __fixups__: { rmem: text('/b:target:0') },
  __symbols__: { rmem: text('/a') },
}
const linked: Tree = {
  x: { ...ramoops, reg: u32(0, 0), 'memory-region': u32(3), phandle: u32(3) },
  y: { compatible: text('qcom,ramoops'), 'memory-region': u32(3), 'no-dump-oops': Buffer.alloc(0) },
  z: { compatible: text('ramoops'), size: u32(0, 0x100000), 'alloc-ranges': u32(0) },
  phone: {
    compatible: text('ramoops'),
    'android,ramoops-buffer-start': u32(0x7ff00000),
    'android,ramoops-buffer-size': u32(0x100000),
    'android,ramoops-record-size': u32(0x7f800),
    'boot-log-size': u32(0x8000),
  },
}

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
    Buffer.concat([makeBlob(overlays), makeBlob({ ...cells, ...linked })]),
    Buffer.concat([Buffer.alloc(64, 'kernel'), makeBlob(linked)]),
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
