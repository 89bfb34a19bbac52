/** A guest that writes to its console at full speed, without a lock: what is read of it is of one moment. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { attach } from '#src/index.js'
import { makeLayout } from '#src/backends/ramoops/layout.js'
import { makeRamoops } from '#src/backends/ramoops/mkfs.js'
import { folder, pstorefs } from '../program.js'

const length = 2 ** 20
const writer = fileURLToPath(new URL('./live-writer.js', import.meta.url))

for (const [ecc, reads] of [
  [0, 60],
  [16, 25],
] as const)
  t.test(`ecc ${ecc}: ${reads} reads`, async t => {
    const path = `${folder(t)}/region.img`
    const sizes = { record_size: 0, console_size: length, pmsg_size: 0, ftrace_size: 0, ecc }
    makeRamoops(path, makeLayout(sizes, length), false)
    const child = spawn(process.execPath, [writer, path, `${length}`, `${ecc}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const backend = attach(path, { ...sizes, readOnly: true })
    t.teardown(() => backend.close())
    let cuts = 0
    let most = 0
    // Where the two take turns on one processor few reads are disturbed.
    for (let n = 0; n < reads || (cuts < 3 && n < 20 * reads); n++) {
      const opened = backend.open('console-ramoops-0')
      if (!opened) return t.fail(`read ${n}: no record`)
      const { record, content } = opened
      const text = content.all().toString('latin1')
      if (record.size !== text.length) t.fail(`read ${n}: size ${record.size} of ${text.length}`)
      if (record.ecc && record.ecc.bad > (record.cut ? 0 : 1))
        t.fail(`read ${n}, cut ${record.cut}: ${record.ecc.bad} bad blocks`)
      if (record.cut > 0) cuts++
      most = Math.max(most, record.cut)
      // The first line, the last and the notice may be cut. Of a header that stood still in the middle of an
      // append one line at either end may be another's.
      const lines = text.split('\n').slice(2, ecc ? -4 : -2)
      const jump = lines.findIndex(
        (line, at) => at > 0 && Number(line) !== Number(lines[at - 1]) + 1,
      )
      if (jump > 0)
        t.fail(`read ${n}, cut ${record.cut}: jumps at line ${jump} of ${lines.length}`, {
          lines: lines.slice(jump - 2, jump + 2),
        })
    }
    if (ecc === 0) {
      const layout = [
        '--record-size=0',
        `--console-size=${length}`,
        '--pmsg-size=0',
        '--ftrace-size=0',
      ]
      let said = ''
      for (let n = 0; n < 100 && !said; n++)
        said = pstorefs(['cat', path, 'console-ramoops-0', ...layout]).stderr.toString()
      t.match(
        said,
        /^pstorefs: console-ramoops-0: \d+ bytes cut: its writer passed over them while they were read\n$/,
      )
    }
    t.ok(cuts > 0, `${cuts} were cut, by at most ${most} bytes`)
  })
