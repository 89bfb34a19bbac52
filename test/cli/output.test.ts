/** Stdout that takes nothing: one line for a full disk, and SIGPIPE's end where nobody reads any more. */
import fs from 'node:fs'
import t from 'tap'
import { folder, program, run, succeed } from '../program.js'

const layout = '--record-size 4K --console-size 4K --pmsg-size 4K --tty-size 4K --ftrace-size 0'
const words = layout.split(' ')

t.test('every command', async t => {
  const home = folder(t)
  const region = `${home}/region.img`
  succeed(t, ['format', region, '--mem-size', '32K', ...words])
  succeed(t, ['write', 'dmesg', region, ...words], Buffer.from('why\n'))
  succeed(t, ['write', 'console', region, ...words], Buffer.from('line\n'))
  succeed(t, ['archive', '--keep', region, `${home}/archive`, ...words])
  fs.copyFileSync(region, `${home}/erased.img`)
  fs.writeFileSync(`${home}/retained.img`, Buffer.alloc(65536))

  /** Lines that print something. */
  const lines = [
    `ls region.img ${layout}`,
    `ls --json region.img ${layout}`,
    `cat region.img ${layout}`,
    `cat --raw region.img dmesg-0 ${layout}`,
    `info region.img ${layout}`,
    `info --json region.img ${layout}`,
    `check region.img ${layout}`,
    `check --json region.img ${layout}`,
    `probe region.img`,
    `probe --json region.img`,
    `probe --toml region.img`,
    `follow region.img console ${layout}`,
    `format --force other.img --mem-size 32K ${layout}`,
    `tty region.img ${layout} -- echo text`,
    `erase erased.img --all ${layout}`,
    `archive --keep region.img ARCHIVE ${layout}`,
    `list archive`,
    `list --json archive`,
    `show archive`,
    `show --json archive`,
    `retention retained.img --mem-size 64K`,
    `status`,
    `ship empty`,
    `completion`,
    `--version`,
    `--help`,
    `ls --help`,
  ]
  /** Commands that print nothing. */
  const silent = ['mount', 'write', 'console']
  const help = run(process.execPath, [program, '--help']).stdout.toString()
  const commands = Array.from(help.matchAll(/^ {2}([a-z]+) {2,}\S/gm), ([, name]) => name!)
  t.ok(commands.length > 12)
  const tested = new Set(lines.map(line => line.split(' ')[0]!))
  t.same(
    commands.filter(name => !tested.has(name) && !silent.includes(name)),
    [],
    'every command is among them',
  )
  fs.mkdirSync(`${home}/empty`, { mode: 0o700 })

  // A pipe that has lost its reader before the program starts.
  const broken = 'mkfifo pipe$$; exec 3<>pipe$$ 4>pipe$$ 3<&-; rm pipe$$; exec "$@" >&4 4<&-'
  for (const [n, line] of lines.entries()) {
    const into = (script: string, archive: string) => {
      const args = line.replace('ARCHIVE', archive).split(' ')
      const full = ['-c', `cd "$1"; shift; ${script}`, 'bash', home, process.execPath, program]
      return run('bash', [...full, ...args])
    }
    const full = into('exec "$@" >/dev/full', `full${n}`)
    t.equal(full.status, line.startsWith('tty') ? 129 : 1, line)
    t.equal(full.stderr, 'pstorefs: standard output: no space left on device\n', line)
    // The records that the first run has erased.
    fs.copyFileSync(region, `${home}/erased.img`)
    fs.writeFileSync(`${home}/retained.img`, Buffer.alloc(65536))
    const closed = into(`(${broken}); exit $?`, `closed${n}`)
    t.equal(closed.status, 141, line)
    t.equal(closed.stderr, '', line)
  }
})
