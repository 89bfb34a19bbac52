/** A FIFO in place of whatever a command reads: one line, and nobody waits for who would write into it. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { folder, program, run, succeed } from '../program.js'

const layout = ['--record-size', '4K', '--console-size', '4K', '--pmsg-size', '4K']
layout.push('--ftrace-size', '0')

const makeFifo = (file: string): string => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  run('mkfifo', [file])
  return file
}

/** Run a command that would hang; null where it did. */
const outcome = (args: string[]): { status: number | null; stdout: string; stderr: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    input: 'text',
    timeout: 120_000,
    killSignal: 'SIGKILL',
  })
  return { status, stdout: stdout.toString(), stderr: stderr.toString() }
}

/** A region with a dump. */
const writtenRegion = (home: string): string => {
  const region = `${home}/written.img`
  run(process.execPath, [program, 'format', region, '--mem-size', '16K', ...layout])
  run(process.execPath, [program, 'write', 'dmesg', region, ...layout], Buffer.from('why\n'))
  return region
}

const refused = (t: Test, args: string[], why: RegExp): void => {
  const { status, stderr } = outcome(args)
  t.equal(status, 1, args.join(' '))
  t.match(stderr, /^pstorefs: [^\n]+\n$/, 'one line')
  t.match(stderr, why)
}

t.test('as a source', async t => {
  const home = folder(t)
  const fifo = makeFifo(`${home}/fifo`)
  fs.mkdirSync(`${home}/mnt`)
  const why = /fifo: is a pipe or socket, not a file\n$/
  for (const args of [
    ['ls', fifo],
    ['ls', fifo, ...layout],
    ['ls', `erst:${fifo}`],
    ['ls', `efi:${fifo}`],
    ['ls', `zone:${fifo}`, '--kmsg-size', '4K'],
    ['cat', fifo, 'console-ramoops-0', ...layout],
    ['info', fifo, ...layout],
    ['check', fifo, ...layout],
    ['probe', fifo],
    ['follow', fifo, 'console-ramoops-0', ...layout],
    ['format', fifo, ...layout],
    ['write', 'console', fifo, ...layout],
    ['erase', fifo, 'console-ramoops-0', ...layout],
    ['archive', fifo, `${home}/archive`, ...layout],
    ['mount', fifo, `${home}/mnt`, ...layout],
    ['mount', '-o', 'ro', fifo, `${home}/mnt`, ...layout],
  ])
    refused(t, args, why)
})

t.test('as a file beside the source', async t => {
  const home = folder(t)
  const region = `${home}/region.img`
  succeed(t, ['format', region, '--mem-size', '16K', ...layout])
  const pipe = /fifo[^/]*: is a pipe or socket, not a file\n$/
  const fifo = makeFifo(`${home}/fifo`)
  refused(t, ['ls', '--config', fifo, 'guest'], pipe)
  refused(t, ['ls', region, '--kallsyms', fifo, ...layout], pipe)

  const archive = `${home}/archive`
  makeFifo(`${archive}/crash/records.json`)
  makeFifo(`${archive}/crash/summary.txt`)
  succeed(t, ['archive', writtenRegion(home), archive, ...layout])
  const records = /^pstorefs: [^\n]+\/crash\/records\.json: is a pipe or socket, not a file\n$/
  t.match(outcome(['list', archive]), { status: 1, stdout: /^1 [^\n]*\n$/, stderr: records })
  refused(t, ['show', `${archive}/crash`], records)

  // Folders that describe regions: parameters of a module, and a device tree.
  const parameters = `${home}/parameters`
  makeFifo(`${parameters}/mem_address`)
  fs.writeFileSync(`${parameters}/mem_size`, '1048576')
  fs.writeFileSync(`${parameters}/record_size`, '65536')
  t.match(outcome(['probe', parameters]), { status: 0, stdout: /record_size=65536|record-size/ })
  const tree = `${home}/tree`
  makeFifo(`${tree}/ramoops@0/reg`)
  fs.writeFileSync(`${tree}/#address-cells`, Buffer.alloc(4))
  t.not(outcome(['probe', tree]).status, null)
})
