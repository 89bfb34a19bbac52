/** `scripts/bench read|write|backends|probe|start|tty|memory`: what things cost beside what nobody could do without. */
import { benchBackends } from './backends.js'
import { benchMemory } from './memory.js'
import { benchProbe } from './probe.js'
import { benchRead } from './read.js'
import { benchStart } from './start.js'
import { benchTty } from './tty.js'
import { benchWrite } from './write.js'

const benches: { [name: string]: () => Promise<void> } = {
  read: benchRead,
  write: benchWrite,
  backends: benchBackends,
  probe: benchProbe,
  start: benchStart,
  tty: benchTty,
  memory: benchMemory,
}
const names = process.argv.slice(2)
if (names.length === 0 || names.some(name => !Object.hasOwn(benches, name))) {
  process.stderr.write(`usage: scripts/bench ${Object.keys(benches).join('|')}…\n`)
  process.exit(2)
}
for (const name of names) await benches[name]()
