/**
 * Garbage collection when large buffers go. V8 counts them, but takes its time: a hundred megabytes that nobody needs
 * may stay for long, and in a process that serves hostile guests memory is promised to be bounded.
 */
import v8 from 'node:v8'
import vm from 'node:vm'

/** Less is not worth the 10 ms that a collection takes. */
const large = 8 << 20

let collect: (() => void) | null = null
let isDue = false

/** Node has the collector's function behind a flag, which can be set at any time. */
const collector = (): (() => void) => {
  v8.setFlagsFromString('--expose-gc')
  return vm.runInNewContext('gc') as () => void
}

/** Nobody needs so many bytes any more, once the caller is done: collect them then. */
export const letGo = (bytes: number): void => {
  if (bytes < large || isDue) return
  isDue = true
  setImmediate(() => {
    isDue = false
    collect ??= collector()
    collect()
  })
}
