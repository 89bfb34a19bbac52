/** A guest as a process of its own. Arguments: the region, its console's offset and length, ms between lines, lines. */
import { LinuxGuest } from './linux-ring.js'

const [region = '', offset, length, pause, lines] = process.argv.slice(2)
const guest = new LinuxGuest(region, Number(offset), Number(length))
while (guest.next < Number(lines)) {
  guest.append()
  await new Promise(resolve => setTimeout(resolve, Math.random() * 2 * Number(pause)))
}
