/** A ring that is archived while a guest appends to it: each line is in one place, or its loss is told. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions, type RecordFacts } from '#src/index.js'
import { Store } from '#src/pstore/store.js'
import { ArchiveFolder, type Archived } from '#src/archive/folder.js'
import { Report } from '#src/archive/report.js'
import { archiveBackend } from '#src/archive/run.js'
import { crashesOf } from '#src/crash/grouping.js'
import { folder } from '../program.js'
import { randomFor } from '../random.js'
import { LinuxGuest, numbersIn } from './linux-ring.js'

interface Scene {
  region: string
  archive: string
  options: AttachOptions
  guest: LinuxGuest
}

/** @param length of the console's zone, in bytes */
const scene = (t: Test, length: number, more: AttachOptions = {}): Scene => {
  const home = folder(t)
  const region = `${home}/region.img`
  const options = { record_size: 4096, console_size: length, pmsg_size: 0, ftrace_size: 0, ...more }
  format(region, { ...options, mem_size: 65536 })
  const backend = attach(region, options)
  const console = [...backend.survey.conditions()].find(({ type }) => type === 'console')!
  backend.close()
  const guest = new LinuxGuest(region, console.offset!, console.room)
  return { region, archive: `${home}/crashes`, options, guest }
}

/** What happens at the moments of a record's erasure: before the last look at it, before the store and after. */
interface Moments {
  before?: () => void
  between?: () => void
  after?: () => void
}

/** A store in which something happens while a record is erased. */
class Meanwhile extends Store {
  moments: Moments = {}

  override erase(record: RecordFacts, unchanged = false): boolean {
    const { before, between, after } = this.moments
    before?.()
    if (unchanged && this.find(record.name)?.version !== record.version) return false
    between?.()
    const done = super.erase(record)
    after?.()
    return done
  }
}

const attachTo = ({ region, options }: Scene): Meanwhile => {
  const { name, driver, ftrace } = attach(region, options) as Store
  return new Meanwhile(name, driver, ftrace)
}

/** What `archive` does with a store, in this process. */
const archiveOnce = (s: Scene, moments: Moments = {}): Archived[] => {
  const store = attachTo(s)
  store.moments = moments
  const into = new ArchiveFolder(s.archive, why => t.fail(why))
  try {
    const done = into.resume(store)
    for (const crash of crashesOf(store.records(), false, record => record.open())) {
      const report = new Report(store, crash, false)
      done.push(
        into.add(
          report.name,
          report.files(() => false),
          () => report.manifest(),
          store,
        ),
      )
    }
    return done
  } finally {
    into.close()
    store.close()
  }
}

/** The numbers of all lines in the archive and in the region, in order. */
const linesOf = ({ region, archive, options }: Scene): number[] => {
  const texts = fs.readdirSync(archive).flatMap(name =>
    fs
      .readdirSync(`${archive}/${name}`)
      .filter(file => file.startsWith('console-'))
      .map(file => fs.readFileSync(`${archive}/${name}/${file}`, 'latin1')),
  )
  const backend = attach(region, options)
  const left = backend.find('console-ramoops-0')?.read().toString('latin1') ?? ''
  backend.close()
  return [...texts, left].flatMap(numbersIn).sort((a, b) => a - b)
}

const linesInRegion = ({ region, options }: Scene): number[] => {
  const backend = attach(region, options)
  const text = backend.find('console-ramoops-0')!.read().toString('latin1')
  backend.close()
  return numbersIn(text)
}

const once = (work: () => void): (() => void) => {
  let isDone = false
  return () => {
    if (!isDone) work()
    isDone = true
  }
}

const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

t.test('lines that come at each moment of an erasure', async t => {
  for (const length of [4096, 16384]) {
    const room = Math.floor((length - 12) / 16)
    for (const filled of [1, 5, room - 1, room, room + 3, 2 * room + 100])
      for (const [name, moments] of [
        ['before the last look', (g: LinuxGuest) => ({ before: once(() => g.append(3)) })],
        ['after the last look', (g: LinuxGuest) => ({ between: () => g.append(3) })],
        [
          'after the last look, and into the emptied ring',
          (g: LinuxGuest) => ({ between: () => g.append(2), after: () => g.append(1) }),
        ],
      ] as const) {
        const s = scene(t, length)
        s.guest.append(filled)
        const whole = filled > room ? filled - room + 1 : 0
        const before = linesInRegion(s)
        const told = archiveOnce(s, moments(s.guest)).some(({ doubtful }) => doubtful.length > 0)
        archiveOnce(s)
        const after = linesOf(s).filter(n => n >= whole)
        const expected = [...before.filter(n => n >= whole), ...range(s.guest.next).slice(filled)]
        const what = `${length}: ${filled} lines, some ${name}`
        // The guest's next text lies over them.
        if (told) t.same(new Set(after).size, after.length, `${what}: none is there twice`)
        else t.same(after, expected, what)
        t.equal(told, name.endsWith('ring') && filled >= room - 1 && filled <= room, what)
      }
  }
})

/** What a guest has done of an append's header when it is stopped. */
const stops = ['size read', 'size set', 'start read', 'start set']

t.test('a guest that is in the midst of an append while its ring is emptied', async t => {
  for (const length of [4096, 16384]) {
    const room = Math.floor((length - 12) / 16)
    for (const filled of [1, 20, room - 1, room, room + 3])
      for (const [stop, done] of stops.entries())
        for (const [when, later] of [
          ['at once', (work: () => void) => work()],
          ['a moment later', setTimeoutSync],
        ] as const) {
          const s = scene(t, length)
          s.guest.append(filled)
          const before = linesInRegion(s)
          const steps = s.guest.steps()
          const told = archiveOnce(s, {
            between: once(() => range(stop + 1).forEach(() => steps.next())),
            after: once(() => later(() => [...steps])),
          }).some(({ doubtful }) => doubtful.length > 0)
          const name = `${length}: ${filled} lines, ${done}, goes on ${when}`
          s.guest.append(3)
          t.same(
            linesInRegion(s),
            range(3).map(n => filled + 1 + n),
            `${name}: what comes is shown`,
          )
          const expected = [...before, ...range(s.guest.next).slice(filled)]
          // The line that it was about to store.
          const known = told ? expected.filter(n => n !== filled) : expected
          t.same(linesOf(s), known, name)
          t.ok(!told || done !== 'start set', `${name}: told only where it is lost`)
        }
  }
})

t.test(
  'a guest that undoes what emptied its ring, at once or in the moment that its bytes may take',
  async t => {
    for (const [when, later] of [
      ['at once', (work: () => void) => work()],
      ['a moment later', setTimeoutSync],
    ] as const) {
      const s = scene(t, 4096)
      s.guest.append(20)
      let undone = 0
      archiveOnce(s, {
        // As no Linux does: it keeps both numbers in mind.
        between: () => undone < 3 && s.guest.append(),
        after: () => {
          if (undone === 3) return
          const size = 16 * (20 + ++undone)
          later(() => s.guest.store(size, size))
        },
      })
      t.equal(undone, 3, when)
      t.same(linesInArchive(s), range(23), when)
      t.same(linesOf(s), range(23), when)
    }
  },
)

t.test('a ring whose numbers are those of no ring, and rest', async t => {
  const s = scene(t, 4096)
  s.guest.append(20)
  s.guest.store(16 * 4, 16 * 20)
  const [one] = archiveOnce(s)
  t.same(one?.left, [])
  t.same(linesInArchive(s), range(20))
  t.same(linesOf(s), range(20))
})

const linesInArchive = ({ archive }: Scene): number[] =>
  fs
    .readdirSync(archive)
    .flatMap(name =>
      ['console-ramoops-0', 'console-ramoops-0.appended'].map(file => `${archive}/${name}/${file}`),
    )
    .filter(file => fs.existsSync(file))
    .flatMap(file => numbersIn(fs.readFileSync(file, 'latin1')))
    .sort((a, b) => a - b)

t.test('bytes that come after their header', async t => {
  const s = scene(t, 4096)
  s.guest.append(20)
  const steps = s.guest.steps()
  archiveOnce(s, {
    between: once(() => stops.forEach(() => steps.next())),
    after: once(() => setTimeoutSync(() => steps.next())),
  })
  t.same(linesOf(s), range(21))
})

/** As soon as the archive rests: it waits a moment for such bytes. */
const setTimeoutSync = (work: () => void): void => {
  const { wait } = Atomics
  Atomics.wait = ((...args: Parameters<typeof wait>) => {
    Atomics.wait = wait
    work()
    return wait(...args)
  }) as typeof wait
}

t.test('what is appended, the manifest says; what may be lost is told', async t => {
  const s = scene(t, 4096)
  s.guest.append(4)
  const [one] = archiveOnce(s, { between: () => s.guest.append(2) })
  t.same(one?.appended, [{ name: 'console-ramoops-0', size: 32 }])
  t.same(one?.doubtful, [])
  t.same(one?.left, [])
  const manifest: unknown = JSON.parse(
    fs.readFileSync(`${s.archive}/${one!.folder}/records.json`, 'utf8'),
  )
  t.match(manifest, {
    kept: false,
    records: [
      { name: 'console-ramoops-0', size: 64 },
      { name: 'console-ramoops-0.appended', size: 32 },
    ],
  })
  t.same(fs.readdirSync(`${s.archive}/${one!.folder}`).sort(), [
    'console-ramoops-0',
    'console-ramoops-0.appended',
    'records.json',
    'summary.txt',
  ])
  // A ring of which a multiple is filled goes on at its front, where the next life's text is.
  const full = scene(t, 4096)
  full.guest.append(2)
  const [two] = archiveOnce(full, {
    between: () => full.guest.append(1),
    after: () => full.guest.append(3),
  })
  t.same(two?.doubtful, ['console-ramoops-0'])
})

t.test('a run that is killed at any moment, and a guest that goes on', async t => {
  const random = randomFor(t)
  const s = scene(t, 4096)
  let killed = false
  class Killed extends Error {}
  for (let round = 0; round < 60; round++) {
    // What comes before the next run may lie where the last one would look.
    if (!killed) s.guest.append(1 + random.below(8))
    killed = false
    const moment = ['before', 'between', 'after'][random.below(3)]!
    const kill = (name: string) => (): void => {
      s.guest.append(random.below(2))
      if (name === moment && random.below(2)) throw new Killed()
    }
    try {
      archiveOnce(s, {
        before: kill('before'),
        between: kill('between'),
        after: kill('after'),
      })
    } catch (error) {
      if (!(error instanceof Killed)) throw error
      killed = true
    }
  }
  archiveOnce(s)
  t.same(linesOf(s), range(s.guest.next), 'each line is there once')
  t.ok(fs.readdirSync(s.archive).every(name => !name.startsWith('.')))
})

/** A store from which somebody takes a record once all are known. */
class Robbed extends Store {
  override *records(...told: Parameters<Store['records']>): ReturnType<Store['records']> {
    yield* Array.from(super.records(...told))
    this.find('dmesg-ramoops-1')?.erase()
  }
}

t.test('what somebody else has taken meanwhile is not said to stay', async t => {
  const { region, archive, options } = scene(t, 4096)
  const { name, driver, ftrace } = attach(region, options) as Store
  const backend = new Robbed(name, driver, ftrace)
  for (const sec of [1n, 1000n])
    backend.write({
      type: 'dmesg',
      bytes: Buffer.from('Panic#1 Part1\nhelp\n'),
      time: { sec, nsec: 0 },
    })
  const into = new ArchiveFolder(archive, why => t.fail(why))
  const told: string[] = []
  const listener = { say: () => {}, tell: (line: string) => void told.push(line) }
  const how = { keep: false, isNamed: false }
  const { folders, isWhole } = archiveBackend(backend, into, how, listener)
  t.same([folders.length, isWhole], [1, false])
  t.match(told, [/: dmesg-ramoops-1 was not archived, and is gone from the store$/])
  into.close()
  backend.close()
})
