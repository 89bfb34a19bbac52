/**
 * A process for benchmarks: runs a command as `pstorefs tty` does, and prints how often its zone was
 * appended to. Arguments: the region, its options as JSON, the command.
 */
import { attach, type AttachOptions } from '#src/index.js'
import { Appender } from '#src/frontends/appender.js'
import { Tee } from '#src/frontends/tty/tee.js'
import { OuterTerminal, runSession } from '#src/frontends/tty/session.js'

const [path, options, ...command] = process.argv.slice(2)
const backend = attach(path, { ...(JSON.parse(options) as AttachOptions), map: true })
let appends = 0
const write = backend.write.bind(backend)
backend.write = record => {
  appends++
  return write(record)
}
const appender = new Appender([backend], 'tty', {
  failed(_, error) {
    throw error
  },
})
const keeper = new Tee(appender, [], () => true)
await runSession(command, new OuterTerminal(), keeper, new Promise(() => {}))
appender.flush()
process.stdout.write(`${appends}\n`)
process.exit(0)
