/** A writer that is killed at any instant leaves a readable region (DESIGN.md 5). */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder } from '../program.js'
import { linesOf, parseLine } from '../lines.js'
import { randomFor } from '../random.js'

const appender = path.join(import.meta.dirname, 'appender.js')
const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const kills = 100

for (const ecc of [0, 16])
  t.test(`${kills} kills, ecc ${ecc}`, async t => {
    const random = randomFor(t)
    const home = folder(t)
    const region = `${home}/region.img`
    const options = { ...layout, ecc }
    format(region, { ...options, mem_size: 16384 })
    // Neighbours that must not change.
    const before = attach(region, options)
    before.write({ type: 'pmsg', bytes: Buffer.from('a neighbour') })
    before.close()

    let finished = 0
    let mixed = 0
    for (let round = 0; round < kills; round++) {
      const doneFile = `${home}/done`
      const done = fs.openSync(doneFile, 'w')
      const env = { ...process.env, NODE_OPTIONS: '' }
      const child = spawn(process.execPath, [appender, region, JSON.stringify(options), 'K'], {
        stdio: ['ignore', done, 'inherit'],
        env,
      })
      fs.closeSync(done)
      const gone = new Promise(resolve => child.on('exit', resolve))
      while (fs.statSync(doneFile).size < 8 && child.exitCode === null)
        await new Promise(resolve => setTimeout(resolve, 5))
      await new Promise(resolve => setTimeout(resolve, random.below(12)))
      child.kill('SIGKILL')
      await gone

      const backend = attach(region, options)
      const record = backend.record('console-ramoops-0')
      const last = Number(fs.readFileSync(doneFile).readBigUInt64LE())
      const text = record ? backend.read(record) : Buffer.alloc(0)
      const content = ecc ? text.subarray(0, text.lastIndexOf('\nECC: ')) : text
      const lines = linesOf(content)
      // In a full ring the oldest bytes give way before the header moves: what was killed there has
      // a line in pieces at the front. Behind it all lines are whole, and the last one finished is there.
      const front = lines.slice(0, 2).filter(line => line === null).length
      if (front) mixed++
      if (lines.slice(2).includes(null)) t.fail(`round ${round}: a broken line in the middle`)
      const lastLine = parseLine(content.toString('latin1').trimEnd().split('\n').at(-1)!)
      if (!lastLine || lastLine.n < last || lastLine.n > last + 1)
        t.fail(`round ${round}: finished ${last}, found ${lastLine?.n}`)
      if (ecc && !/No errors detected/.test(text.toString('latin1'))) mixed++
      const pmsg = backend.record('pmsg-ramoops-0')!
      if (backend.read(pmsg).subarray(0, 11).toString() !== 'a neighbour') t.fail('neighbour')
      backend.close()
      finished += last
    }
    t.ok(finished > kills, `${finished} appends, ${mixed} of ${kills} kills in the middle of one`)
  })
