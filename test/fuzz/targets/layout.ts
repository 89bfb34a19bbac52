/** A file that says a layout: what probe printed, tables of TOML, a description. */
import assert from 'node:assert/strict'
import { ramoops } from '#src/backends/ramoops/index.js'
import { readLayout } from '#src/backends/ramoops/layout-file.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()

const region = {
  mem_address: 4096,
  mem_size: 65536,
  record_size: 4096,
  open: ['cpus'],
  order: ['dmesg'],
}

export const target: Target = {
  seeds: () =>
    [
      JSON.stringify({ regions: [{ ...region, options: '--mem-size 65536 --zones dmesg:4Kx2' }] }),
      JSON.stringify(region),
      '[backends.a]\nsource = "x"\nrecord_size = "64K"\norder = "dmesg,console"\n',
      'mem_size = 65536\nzones = "dmesg:4K,gap:4K"\necc = 1\n',
      'ramoops.mem_size=65536 ramoops.record_size=4096',
    ].map(text => Buffer.from(text)),
  words: ['"options"', '"regions"', '--mem-size ', '--zones ', 'dmesg:', '[', ']', '{', '}', '='],
  longest: 4096,
  run(bytes) {
    file.write(bytes)
    const { parameters, open } = readLayout(file.path, undefined, ramoops.parameters)
    for (const name of Object.keys(parameters)) assert.ok(name in ramoops.parameters, name)
    for (const name of open) assert.equal(typeof name, 'string')
  },
}
