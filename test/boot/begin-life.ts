/**
 * A process for tests: begins a life with a region, and prints what the last one left as JSON.
 * Arguments: SOURCE, its options as JSON, the state folder, the boot id.
 */
import { attach, type AttachOptions } from '#src/index.js'
import type { Store } from '#src/pstore/store.js'
import { beginLife } from '#src/boot/last-life.js'

const [source, options, state, boot] = process.argv.slice(2)
const plain = attach(source, JSON.parse(options) as AttachOptions)
const backend = beginLife(plain as Store, { state, boot })
const shown: { [name: string]: string } = {}
for (const record of backend.records()) shown[record.name] = record.read().toString('latin1')
backend.close()
process.stdout.write(JSON.stringify(shown))
