/** A reply that the real kernel refuses: nobody who waits for it may hang. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import t from 'tap'
import { folder, isMounted, run, until } from '../program.js'

const server = path.resolve(import.meta.dirname, 'broken-server.js')

for (const how of [
  'a length that is not its own',
  'too long',
  'too short',
  'an errno that is none',
  'a positive errno',
])
  t.test(how, async t => {
    const mountpoint = folder(t)
    const child = spawn(process.execPath, [server, mountpoint, how])
    t.teardown(() => child.kill('SIGKILL'))
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    t.ok(await until(() => said.includes('ready')), 'it is mounted')
    // Only SIGKILL after the daemon's end would end one who waits for ever.
    const asked = run('timeout', ['-k', '1', '60', 'stat', '-f', mountpoint])
    t.equal(asked.status, 1)
    t.match(asked.stderr, /Input\/output error/)
    t.equal(run('ls', [mountpoint]).status, 0, 'all else is answered')
    run('fusermount3', ['-u', mountpoint])
    t.ok(await until(() => !isMounted(mountpoint) && child.exitCode === 0))
    t.match(said, /a reply of \d+ bytes was refused \(errno 22\)/)
  })
