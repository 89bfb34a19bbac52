/**
 * Each thing that the library does, once: on region.img in the current folder, and mounted on mnt. What it prints is
 * compared by test/e2e/library.test.ts. Nothing here is imported from the project.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import {
  attach,
  crashesOf,
  diagnose,
  follow,
  format,
  mount,
  probeSource,
  recordTypes,
  StoreError,
  UncertainLayout,
  writeDump,
  type AttachOptions,
  type Backend,
  type Crash,
  type MountSource,
  type RecordJson,
  type StoredRecord,
} from 'pstorefs'

const said: { [what: string]: unknown } = {}

/** The code and the message of what is thrown. */
const refused = (work: () => unknown): string => {
  try {
    work()
    return 'nothing is thrown'
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return `${error.code} ${error.message}`
  }
}

const layout: AttachOptions = { mem_size: 1 << 20, record_size: 65536, console_size: 262144 }
said.made = format('region.img', layout)

const backend: Backend = attach('region.img', layout)
backend.write({ type: 'console', bytes: Buffer.from('first\n') })
writeDump(backend, Buffer.from('<0>[   12.000000] Kernel panic - not syncing: why\n'))
said.names = Array.from(backend.records(), ({ name }) => name)

const record: StoredRecord | null = backend.find('dmesg-ramoops-0')
said.read = record?.read().toString()
const [json]: RecordJson[] = JSON.parse(JSON.stringify(record ? [record] : []))
said.json = { ...json, mtime: typeof json?.mtime }

const [crash]: Crash[] = crashesOf(backend)
said.crash = crash && [crash.reason, diagnose(crash).title]

/** The ring's next bytes, while this program appends to it. */
const followed: string[] = []
const ending = new AbortController()
try {
  for await (const bytes of follow(backend, 'console-ramoops-0', { signal: ending.signal })) {
    followed.push(bytes.toString())
    if (followed.join('') === 'first\n')
      backend.write({ type: 'console', bytes: Buffer.from('second\n') })
    else ending.abort()
  }
} catch (error) {
  said.ended = error instanceof Error && error.name
}
said.followed = followed.join('')
said.noRing = refused(() => follow(backend, 'tty-ramoops-0'))

// This thread looks, and a child that it waits for: neither waits for itself.
const source: MountSource = { source: 'region.img', ...layout }
const mounted = await mount(source, 'mnt', { umask: 0o77 })
said.mounted = fs.readdirSync('mnt')
said.cat = execFileSync('cat', ['mnt/console-ramoops-0']).toString()
said.later = await fs.promises.readFile('mnt/dmesg-ramoops-0', 'latin1')
fs.unlinkSync('mnt/dmesg-ramoops-0')
said.mode = fs.statSync('mnt/console-ramoops-0').mode & 0o777
await mounted.unmount()
await mounted.ended
said.unmounted = fs.readdirSync('mnt')

said.left = Array.from(backend.records(), ({ name }) => name)
said.erased = backend.find('console-ramoops-0')?.erase()
said.gone = refused(() => backend.find('console-ramoops-0')?.read() ?? record?.read())
backend.close()

// The bytes of an empty region leave much open.
fs.copyFileSync('region.img', 'copy.img')
const guessed = attach('copy.img')
said.guessed = [guessed.readOnly, guessed.notes.length]
said.notWritten = refused(() => writeDump(guessed, Buffer.from('x')))
guessed.close()
said.uncertain = (() => {
  try {
    attach('copy.img', { readOnly: false }).close()
    return false
  } catch (error) {
    return error instanceof UncertainLayout
  }
})()
said.probed = probeSource('copy.img').regions.map(({ mem_size, certain }) => [mem_size, certain])
said.types = recordTypes.includes('console')
said.none = refused(() => attach('none.img'))

process.stdout.write(`${JSON.stringify(said)}\n`)
