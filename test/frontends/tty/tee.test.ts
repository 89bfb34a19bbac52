/** A terminal's output on its way: into the zone first, to the screen then, and never over what has yet to be seen. */
import t, { type Test } from 'tap'
import { attach, format } from '#src/index.js'
import { Appender } from '#src/frontends/appender.js'
import { Tee } from '#src/frontends/tty/tee.js'
import { folder, until } from '../../program.js'

const layout = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 0, tty_size: 4096 }
/** What a ring of that size holds. */
const room = 4096 - 12

/** A tee, its zone, and a screen, which takes nothing at once while it is slow. */
const make = (t: Test) => {
  const path = `${folder(t)}/region.img`
  format(path, { ...layout, mem_size: 4096 })
  const backend = attach(path, layout)
  t.teardown(() => backend.close())
  const zone = (): string => backend.find('tty-ramoops-0')?.read().toString() ?? ''
  const screen = { isSlow: false, shown: [] as Buffer[], kept: true }
  const appender = new Appender([backend], 'tty', {
    failed(_, error) {
      throw error
    },
  })
  const tee = new Tee(appender, [], bytes => {
    screen.shown.push(screen.isSlow ? bytes : Buffer.from(bytes))
    screen.kept &&= zone().endsWith(bytes.toString().slice(-room))
    return !screen.isSlow
  })
  /** What the screen has seen, a slow one only now. */
  const seen = (): string => Buffer.concat(screen.shown).toString()
  return { tee, zone, screen, seen }
}

/** Numbered lines, so that nothing can be missing or double. */
const text = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => `line ${from + i}\n`).join('')

/** Run with a clock that stands still, as nobody knows how long a busy machine takes. */
const atOnce = (work: () => void): void => {
  const { now } = performance
  const then = performance.now()
  performance.now = () => then
  try {
    work()
  } finally {
    performance.now = now
  }
}

/** One buffer for all, as a terminal's reader has. */
const shared = Buffer.alloc(65536)
const take = (tee: Tee, said: string): void => {
  tee.take(shared.subarray(0, shared.write(said)))
}

t.test('after a pause at once, and what follows after a moment', async t => {
  const { tee, zone, screen, seen } = make(t)
  atOnce(() => {
    take(tee, 'a key')
    t.equal(seen(), 'a key')
    take(tee, ', and')
    take(tee, ' more')
    t.equal(zone(), 'a key', 'it is gathered')
  })
  t.ok(await until(() => zone() === 'a key, and more'))
  t.equal(screen.shown.length, 2)
  t.ok(screen.kept)
})

t.test('many times the buffer, in order, and each piece in the zone before it is shown', t => {
  const { tee, screen, seen } = make(t)
  let said = ''
  for (let i = 0; i < 200_000; i += 500) {
    const more = text(i, i + 500)
    said += more
    take(tee, more)
  }
  tee.flush()
  t.ok(seen() === said, `${seen().length} of ${said.length} bytes`)
  t.ok(screen.kept)
  t.end()
})

t.test('what has yet to be seen stays what it is', t => {
  const { tee, zone, screen, seen } = make(t)
  screen.isSlow = true
  take(tee, text(0, 10))
  t.ok(tee.isHeld, 'the screen is behind')
  take(tee, text(10, 20))
  t.equal(seen(), text(0, 10))
  t.equal(zone(), text(0, 10), 'the zone is no further than the screen')
  // As a signal does: everything is passed on, whatever the screen says.
  tee.flush()
  t.equal(zone(), text(0, 20))
  take(tee, text(20, 30))
  t.equal(seen(), text(0, 20), 'nothing was put over it')
  let released = false
  tee.released = () => (released = true)
  screen.isSlow = false
  tee.release()
  t.ok(released, 'more may come')
  t.equal(seen(), text(0, 30))
  t.ok(screen.kept)
  t.end()
})

t.test('there is room for the most that can come while a screen is behind', t => {
  const { tee, screen, seen } = make(t)
  const said = text(0, 60_000)
  let length = 0
  const takeMore = (bytes: number): void => {
    take(tee, said.slice(length, length + bytes))
    length += bytes
  }
  atOnce(() => {
    takeMore(1)
    for (let i = 0; i < 3; i++) takeMore(65536)
    takeMore(65535)
  })
  screen.isSlow = true
  takeMore(65536)
  t.ok(tee.isHeld)
  // A read on its way, and what a terminal holds at its end.
  takeMore(65536)
  takeMore(65536)
  tee.flush()
  t.ok(seen() === said.slice(0, length))
  t.ok(screen.kept)
  t.end()
})

t.test('a screen that falls behind in a flush holds as well', t => {
  const { tee, screen, seen } = make(t)
  atOnce(() => {
    take(tee, 'first ')
    take(tee, 'second ')
    screen.isSlow = true
    tee.flush()
  })
  t.ok(tee.isHeld)
  take(tee, 'third')
  t.equal(seen(), 'first second ')
  screen.isSlow = false
  tee.release()
  t.equal(seen(), 'first second third')
  t.end()
})
