/** Several processes write, erase and read one region at a time; no zone is ever wrong. */
import { spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder, mount, pstorefs } from '../program.js'
import { linesOf } from '../lines.js'

const appender = path.join(import.meta.dirname, 'appender.js')
const seconds = 4

for (const ecc of [0, 16])
  t.test(`4 writers, an eraser and a mount, ecc ${ecc}`, async t => {
    const home = folder(t)
    const region = `${home}/region.img`
    const layout: AttachOptions = {
      record_size: 4096,
      console_size: 16384,
      pmsg_size: 0,
      ftrace_size: 0,
      ecc,
    }
    const options = [
      '--record-size',
      '4K',
      '--console-size',
      '16K',
      '--pmsg-size',
      '0',
      '--ftrace-size',
      '0',
      '--ecc',
      String(ecc),
    ]
    format(region, { ...layout, mem_size: 32768 })
    const mountpoint = mount(t, region, options)
    const writers: ChildProcess[] = []
    const tags = ['A', 'B', 'C', 'D']
    /** How many lines a writer has finished. */
    const countOf = (tag: string): bigint => {
      const note = fs.readFileSync(`${home}/${tag}`)
      return note.length ? note.readBigUInt64LE() : 0n
    }
    for (const tag of tags) {
      const done = fs.openSync(`${home}/${tag}`, 'w+')
      writers.push(
        spawn(process.execPath, [appender, region, JSON.stringify(layout), tag], {
          stdio: ['ignore', done, 'inherit'],
          env: { ...process.env, NODE_OPTIONS: '' },
        }),
      )
      fs.closeSync(done)
    }
    const ended = Promise.all(
      writers.map(writer => new Promise(resolve => writer.on('exit', resolve))),
    )

    const check = (bytes: Buffer, what: string): number => {
      const end = ecc ? bytes.lastIndexOf('\nECC: ') : bytes.length
      if (ecc && bytes.toString('latin1', end) !== '\nECC: No errors detected\n')
        t.fail(`${what}: ${bytes.toString('latin1', end)}`)
      const lines = linesOf(bytes.subarray(0, end))
      if (lines.includes(null))
        t.fail(`${what}: line ${lines.indexOf(null)} of ${lines.length} is broken`)
      return lines.length
    }
    let reads = 0
    let seen = 0
    let erased = 0
    let turn = 0
    // On a loaded machine a few seconds may not be enough for every process to have had turns.
    const begin = performance.now()
    const enough = (): boolean =>
      reads > 10 && seen > 100 && erased > 0 && tags.every(tag => countOf(tag) > 10n)
    while (performance.now() < begin + (enough() ? seconds : 300) * 1000) {
      try {
        seen += check(fs.readFileSync(`${mountpoint}/console-ramoops-0`), 'the mount')
        reads++
      } catch (error) {
        t.equal((error as NodeJS.ErrnoException).code, 'ENOENT', 'erased a moment ago')
      }
      if (++turn % 50 === 0) {
        const { status, stderr } = pstorefs(['erase', region, 'console-ramoops-0', ...options])
        if (status === 0) erased++
        else t.match(stderr, /has no record/)
      }
      await new Promise(resolve => setTimeout(resolve, 1))
    }
    for (const writer of writers) writer.kill('SIGTERM')
    await ended
    t.ok(
      reads > 10 && seen > 100 && erased > 0,
      `${reads} reads of ${seen} lines, ${erased} erasures`,
    )
    for (const tag of tags)
      t.ok(countOf(tag) > 10n, `writer ${tag} had its turns: ${countOf(tag)} lines`)
    const backend = attach(region, layout)
    const record = backend.find('console-ramoops-0')
    if (record) check(record.read(), 'at the end')
    backend.close()
  })
