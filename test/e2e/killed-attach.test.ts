/**
 * `attach=boot`, killed at every system call between keeping the last life's text and emptying its rings:
 * nothing is lost, and nothing is shown twice, whatever this life's writers do before the next attach.
 */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import type { Store } from '#src/pstore/store.js'
import { beginLife } from '#src/boot/last-life.js'
import { bundled } from '../bundled.js'
import { folder, run } from '../program.js'

const lifeBeginner = bundled(t, path.join(import.meta.dirname, '../boot/begin-life.js'))
const calls = ['mkdir', 'flock', 'write', 'fsync', 'rename', 'pwrite64', 'unlink']

interface Machine {
  source: string
  options: AttachOptions
  /** Everything that is changed lies in here. */
  home: string
}

type Shown = { [type: string]: string }

/** What the last life left, how much of it the console's ring can hold, and what became of the attach. */
interface Last {
  shown: Shown
  room: number
  /** The attach had come to its end. */
  done: boolean
}

const said = 'said in this life and in that\n'
const longer = 'a line that only the last life said\n'

/** What rings hold or show, by type, without what parity says. */
const texts = (backend: ReturnType<typeof attach>): Shown =>
  Object.fromEntries(
    Array.from(backend.records(), record => [
      record.type,
      record
        .read()
        .toString('latin1')
        .replace(/\nECC: No errors detected\n$/, ''),
    ]),
  )

const zones = ({ source, options }: Machine): Shown => {
  const backend = attach(source, { ...options, readOnly: true })
  const found = texts(backend)
  backend.close()
  return found
}

const look = ({ source, options, home }: Machine, boot: string): Shown => {
  const backend = beginLife(attach(source, options) as Store, {
    state: `${home}/state`,
    boot,
  })
  const found = texts(backend)
  backend.close()
  return found
}

const say = ({ source, options }: Machine, text: string): void => {
  const backend = attach(source, options)
  backend.write({ type: 'console', bytes: Buffer.from(text) })
  backend.close()
}

/** Run an attach in a process of its own; kill it as it enters a system call for the n-th time. */
const attachAndDie = (store: Machine, boot: string, call?: string, n?: number): string => {
  const log = `${store.home}/trace`
  const tracing = ['-o', log, '-e', `trace=${calls.join()}`]
  if (call) tracing.push('-e', `inject=${call}:signal=KILL:when=${n}`)
  const node = ['env', '-u', 'NODE_OPTIONS', process.execPath]
  const args = [store.source, JSON.stringify(store.options), `${store.home}/state`, boot]
  const { status, stderr } = run('strace', [...tracing, ...node, lifeBeginner, ...args])
  const trace = fs.readFileSync(log, 'latin1')
  if (status !== 0 && !trace.includes('killed by SIGKILL')) throw new Error(stderr)
  return trace
}

/** The system calls from the first lock to its release: which, and for the how-manieth time. */
const stepsOf = (trace: string): [call: string, n: number][] => {
  const counts: { [call: string]: number } = {}
  const steps: [string, number][] = []
  let locked = false
  const lines = trace.split('\n')
  const end = lines.findLastIndex(line => line.includes('LOCK_UN'))
  for (const [i, line] of lines.entries()) {
    const [, call] = /^(\w+)\(/.exec(line) ?? []
    if (call === undefined) continue
    counts[call] = (counts[call] ?? 0) + 1
    locked ||= line.includes('/state"')
    if (locked && i <= end) steps.push([call, counts[call]])
  }
  return steps
}

/** How often what is kept was replaced. */
const saves = (trace: string): number => trace.match(/^rename\(.*= 0$/gm)?.length ?? 0

/** Was something kept before the daemon died? */
const isKept = ({ home }: Machine): boolean =>
  fs.existsSync(`${home}/state`) &&
  fs.readdirSync(`${home}/state`).some(name => name.endsWith('.kept'))

/** How a life goes on after the daemon's death, and what the next attach has to show. */
const afterwards: { [name: string]: (t: Test, store: Machine, last: Last, where: string) => void } =
  {
    'at once, in the same life': (t, store, { shown }, where) => {
      t.same(look(store, 'two'), shown, where)
      t.same(zones(store), {}, where)
      t.same(look(store, 'three'), {}, where)
    },
    'in the same life, after its writers': (t, store, { shown, room }, where) => {
      // Killed before anything was kept: it is all the same as if the daemon had started now.
      const late = !isKept(store)
      say(store, said)
      t.same(
        look(store, 'two'),
        late ? { ...shown, console: (shown.console + said).slice(-room) } : shown,
        where,
      )
      if (!late) say(store, 'more\n')
      t.same(look(store, 'three'), late ? {} : { console: `${said}more\n` }, where)
    },
    'in the next life': (t, store, { shown, room, done }, where) => {
      const late = !isKept(store)
      say(store, said)
      const found = look(store, 'three')
      const both = shown.console + said
      // Killed after the attach itself was done: this life's text replaces the last one's.
      if (done) t.same(found, { console: said }, where)
      else t.same(found, { ...shown, console: late ? both.slice(-room) : both }, where)
      t.same(look(store, 'four'), {}, where)
    },
  }

const layout = { record_size: 4096, console_size: 4096, pmsg_size: 4096, ftrace_size: 0 }
const inRecords = { console_size: 8192, pmsg_size: 1024 }
interface Kind {
  driver: string
  options: AttachOptions
  /** How many lines the last life left before its last one. */
  lines: number
}
const kinds: { [name: string]: Kind } = {
  ramoops: { driver: '', options: layout, lines: 0 },
  'ramoops, full rings': { driver: '', options: layout, lines: 200 },
  'ramoops with parity': { driver: '', options: { ...layout, ecc: 16 }, lines: 0 },
  zone: {
    driver: 'zone:',
    options: { kmsg_size: 4096, console_size: 4096, pmsg_size: 4096, ftrace_size: 0 },
    lines: 0,
  },
  'rings in EFI variables': { driver: 'efi:', options: inRecords, lines: 100 },
  'rings in ERST records': { driver: 'erst:', options: inRecords, lines: 100 },
}

/** An empty store. */
const makeStore = ({ source, options, home }: Machine): void => {
  if (source.startsWith('efi:')) fs.mkdirSync(`${home}/region`)
  else if (source.startsWith('erst:')) format(source, { mem_size: 65536 })
  else format(source, { ...options, mem_size: 16384 })
}

for (const [name, { driver, options, lines }] of Object.entries(kinds))
  t.test(name, async t => {
    const home = folder(t)
    // A store is known by its path, so the machine is always in one place, and copies of it are elsewhere.
    const place = `${home}/machine`
    const template: Machine = { source: `${driver}${place}/region`, options, home: place }
    const keepAs = (name: string): void =>
      fs.cpSync(place, `${home}/${name}`, { recursive: true, preserveTimestamps: true })
    const restore = (name: string): Machine => {
      fs.rmSync(place, { recursive: true })
      fs.cpSync(`${home}/${name}`, place, { recursive: true, preserveTimestamps: true })
      return template
    }
    fs.mkdirSync(place)
    makeStore(template)
    const room = attach(template.source, options).capacity('console')?.room ?? 0
    // The last life began as this one does, so that bytes alone do not tell them apart.
    const text = longer.repeat(lines) + said
    say(template, text)
    const other = attach(template.source, options)
    other.write({ type: 'pmsg', bytes: Buffer.from(longer) })
    other.close()
    const shown = { console: text.slice(-room), pmsg: longer }
    t.same(zones(template), shown)
    keepAs('template')

    const whole = attachAndDie(restore('template'), 'two')
    const steps = stepsOf(whole)
    t.ok(steps.length >= 20, `${steps.length} system calls`)
    t.equal(saves(whole), 3)
    let kills = 0
    for (const [call, n] of steps) {
      const killed = `${call}-${n}`
      const trace = attachAndDie(restore('template'), 'two', call, n)
      keepAs(killed)
      const done = saves(trace) === saves(whole)
      if (!done) kills++
      for (const [how, goOn] of Object.entries(afterwards)) {
        goOn(t, restore(killed), { shown, room, done }, `${call} ${n}; ${how}`)
      }
    }
    // Node writes to itself, too, now more and now less often.
    t.ok(kills > steps.length / 2, `${kills} kills in the middle`)
  })
