/** A region on a disk: what was appended outlives the machine, and not only this program. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { folder, program, pstorefsRefused, run, succeed } from '../program.js'

const layout = ['--record-size', '0', '--console-size', '0', '--pmsg-size', '0']
layout.push('--ftrace-size', '0', '--tty-size', '32K')

/** A block device that is a file. */
const makeDisk = (t: Test): string => {
  const file = `${folder(t)}/disk.img`
  fs.writeFileSync(file, '')
  fs.truncateSync(file, 65536)
  const { status, stdout, stderr } = run('losetup', ['--find', '--show', file])
  if (status !== 0) throw new Error(stderr)
  const disk = stdout.toString().trim()
  t.teardown(() => run('losetup', ['--detach', disk]))
  return disk
}

// In CI their lack is a mistake to be seen.
const skip = !process.env.CI && run('losetup', ['--find']).status !== 0 && 'no loop devices here'

t.test('it is all of the disk, and an append waits for it twice', { skip }, async t => {
  const disk = makeDisk(t)
  succeed(t, ['format', disk, ...layout])
  const trace = `${folder(t)}/trace`
  const command = [program, 'write', 'tty', disk, ...layout]
  const traced = ['-f', '-o', trace, '-e', 'trace=fdatasync', process.execPath, ...command]
  const { status, stderr } = run('strace', traced, Buffer.from('text'))
  t.equal(status, 0, stderr)
  // The bytes are there before the header that says so, and that before anybody goes on.
  t.equal(fs.readFileSync(trace, 'latin1').match(/fdatasync\(\d+\) += 0/g)?.length, 2)
  t.equal(succeed(t, ['cat', disk, 'tty-ramoops-0', ...layout]).toString(), 'text')
})

t.test('a disk that fails', { skip }, async t => {
  const disk = makeDisk(t)
  succeed(t, ['format', disk, ...layout])
  const args = ['write', 'tty', disk, ...layout]
  const outcome = pstorefsRefused(disk, ['fdatasync:error=EIO'], args, Buffer.from('text'))
  t.equal(outcome.status, 1)
  t.match(outcome.stderr, /^pstorefs: [^\n]*\/dev\/loop\d+: [^\n]*\n$/)
})
