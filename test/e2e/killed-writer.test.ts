/**
 * A writer that is killed at any instant leaves in the ring what it was given, in that order, up to some
 * byte, and nobody else's (ARCHITECTURE.md 5).
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { divideZone } from '#src/backends/ramoops/layout.js'
import { attach, format, type AttachOptions } from '#src/index.js'
import { bundled } from '../bundled.js'
import { folder } from '../program.js'
import { lineOf } from '../lines.js'
import { randomFor } from '../random.js'

const appender = bundled(t, path.join(import.meta.dirname, 'appender.js'))
const layout: AttachOptions = {
  record_size: 4096,
  console_size: 65536,
  pmsg_size: 4096,
  ftrace_size: 0,
}
const kills = 100
/** As many lines as fill the ring more than once. */
const lines = 2000

for (const ecc of [0, 16])
  t.test(`${kills} kills, ecc ${ecc}`, async t => {
    const random = randomFor(t)
    const home = folder(t)
    const region = `${home}/region.img`
    const doneFile = `${home}/done`
    const options = { ...layout, ecc }
    const ring = divideZone(layout.console_size!, ecc)!.data
    format(region, { ...options, mem_size: 131072 })
    // A neighbour that must not change.
    const before = attach(region, options)
    before.write({ type: 'pmsg', bytes: Buffer.from('a neighbour') })
    const pmsg = before.find('pmsg-ramoops-0')!.read()
    before.close()

    const finished = (): number => {
      const note = fs.readFileSync(doneFile)
      return note.length ? Number(note.readBigUInt64LE()) : 0
    }
    /** What the ring holds when n lines were appended to what it held. */
    const ringWith = (held: Buffer, tag: string, n: number): Buffer => {
      const pieces: Buffer[] = []
      for (let length = 0; n > 0 && length < ring; n--) {
        pieces.unshift(lineOf(tag, n))
        length += pieces[0].length
      }
      return Buffer.concat([held, ...pieces]).subarray(-ring)
    }

    let held: Buffer = Buffer.alloc(0)
    const seen = { appends: 0, partly: 0, between: 0, cut: 0 }
    for (let round = 0; round < kills; round++) {
      // Another's lines look otherwise.
      const tag = String.fromCharCode(65 + (round % 26))
      const done = fs.openSync(doneFile, 'w+')
      const child = spawn(process.execPath, [appender, region, JSON.stringify(options), tag], {
        stdio: ['ignore', done, 'inherit'],
        env: { ...process.env, NODE_OPTIONS: '' },
      })
      fs.closeSync(done)
      const gone = new Promise(resolve => child.on('exit', resolve))
      const enough = random.below(lines)
      while (finished() <= enough && child.exitCode === null)
        await new Promise(resolve => setTimeout(resolve, 1))
      child.kill('SIGKILL')
      await gone

      const backend = attach(region, options)
      const record = backend.find('console-ramoops-0')!
      const text = record.read()
      const found = ecc ? text.subarray(0, text.lastIndexOf('\nECC: ')) : text
      const last = finished()
      const whole = ringWith(held, tag, last)
      const next = lineOf(tag, last + 1)
      // In a full ring the oldest bytes give way before the header moves: there, and there only, stand
      // bytes of the line that was being written.
      const ahead = ring - whole.length
      const isCut = (): boolean =>
        found.length === whole.length &&
        found.every((byte, i) => byte === whole[i] || byte === next[i + ahead])
      if (found.equals(whole)) seen.between++
      else if (isCut()) seen.cut++
      else if (found.equals(ringWith(held, tag, last + 1))) seen.between++
      else t.fail(`round ${round}: not what was written up to line ${last}`)
      if (!backend.find('pmsg-ramoops-0')!.read().equals(pmsg)) t.fail('a neighbour')
      if (whole.length < ring) seen.partly++
      seen.appends += last
      // Every other round begins with an empty ring.
      if (round % 2) record.erase()
      held = round % 2 ? Buffer.alloc(0) : found
      backend.close()
    }
    t.ok(seen.appends > kills && seen.partly && seen.partly < kills, JSON.stringify(seen))
    // With parity an append takes long enough to be cut by some.
    if (ecc) t.ok(seen.cut > 0, JSON.stringify(seen))
    t.comment(JSON.stringify(seen))
  })
