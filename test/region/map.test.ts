/** Mappings, with mmap-io and without it. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { folder, project, run } from '../program.js'

const region = path.join(project, 'dist/region/region.js')

/** Maps a window, changes it, and says what is mapped then. */
const script = `
import fs from 'node:fs'
import { Region } from '${region}'
const [path] = process.argv.slice(2)
const window = new Region(path, { offset: 5003, length: 100, map: true })
window.store(50, Buffer.from('changed'))
const bytes = window.load(0, 10).toString()
const maps = fs.readFileSync('/proc/self/maps', 'latin1')
console.log(JSON.stringify({ bytes, isMapped: maps.includes(path), byPackage: maps.includes('mmap-io') }))
`

/** As if it had not been installed. */
const hiding = `
const Module = require('node:module')
const resolve = Module._resolveFilename
Module._resolveFilename = function (name, ...more) {
  if (name.startsWith('mmap-io')) throw Object.assign(new Error('is hidden'), { code: 'MODULE_NOT_FOUND' })
  return resolve.call(this, name, ...more)
}
`

/** The package is compiled where somebody asked for it. */
const skip =
  !fs.existsSync(path.join(project, 'node_modules/mmap-io/build')) &&
  'mmap-io is not compiled: scripts/setup --optional'

for (const isHidden of [false, true])
  t.test(isHidden ? 'without mmap-io' : 'with mmap-io', { skip: !isHidden && skip }, async t => {
    const home = folder(t)
    const source = `${home}/region.img`
    fs.writeFileSync(source, '0123456789'.repeat(1000))
    fs.writeFileSync(`${home}/map.mjs`, script)
    fs.writeFileSync(`${home}/hide.cjs`, hiding)
    const hide = isHidden ? ['--require', `${home}/hide.cjs`] : []
    const { status, stdout, stderr } = run(process.execPath, [...hide, `${home}/map.mjs`, source])
    t.equal(status, 0, stderr)
    t.same(JSON.parse(stdout.toString()), {
      bytes: '3456789012',
      isMapped: true,
      byPackage: !isHidden,
    })
    t.equal(fs.readFileSync(source, 'latin1').slice(5050, 5063), '012changed012')
  })
