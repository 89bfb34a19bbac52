/** koffi, by which the C library's functions are called, has a binary for each kind of machine; it may be missing. */
import fs from 'node:fs'
import t from 'tap'
import { format } from '#src/index.js'
import { folder, program, run } from '../program.js'

/** As if npm had left out what is optional, or the packages were another machine's. */
const hiding = `
const Module = require('node:module')
const load = Module._load
Module._load = function (name, ...more) {
  if (/koffi-linux|[.]node$/.test(name))
    throw Object.assign(new Error('Cannot find module\\nRequire stack:'), { code: 'MODULE_NOT_FOUND' })
  return load.call(this, name, ...more)
}
`

t.test('without its binary, a command says so in a line', async t => {
  const home = folder(t)
  format(`${home}/region.img`, { mem_size: 1 << 16, record_size: 1 << 12 })
  fs.writeFileSync(`${home}/hide.cjs`, hiding)
  const hidden = (...args: string[]) =>
    run(process.execPath, ['--require', `${home}/hide.cjs`, program, ...args])
  for (const command of ['ls', 'mount']) {
    const { status, stderr, stdout } = hidden(command, `${home}/region.img`)
    t.equal(status, 1)
    t.equal(stdout.length, 0)
    t.match(
      stderr,
      new RegExp(`^pstorefs: koffi, .* no binary for linux-${process.arch} [^\n]+\n$`),
    )
  }
  t.equal(hidden('--version').status, 0)
})
