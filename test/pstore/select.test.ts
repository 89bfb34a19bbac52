/** `backend=`: which backends are attached, in which order, and what a failure means. */
import t, { type Test } from 'tap'
import type { Backend } from '#src/pstore/backend.js'
import { StoreError } from '#src/pstore/errors.js'
import { badName, select, selectSoon, writeToAll } from '#src/pstore/select.js'

/** A backend that is nothing but its name, and what is told of it. */
const fake = (name: string, facts: Partial<Backend> = {}): Backend => ({
  name,
  identity: { driver: 'fake', path: '/nowhere', offset: 0 },
  readOnly: false,
  notes: [],
  survey: { facts: {}, *conditions() {}, raw: () => null, salvage: () => null },
  *records() {},
  *names() {},
  find: () => null,
  open: () => null,
  erase: () => false,
  rings: () => [],
  usage: () => null,
  capacity: () => ({ room: 100, pace: null, parts: false }),
  write: ({ bytes }) => bytes.length,
  doubts: () => [],
  unused: () => null,
  refuseForeign: () => {},
  sync: () => {},
  close: () => {},
  ...facts,
})

interface Outcome {
  attached: string[]
  failures: string[]
  tried: string[]
  closed: string[]
  error: string | null
}

/** Select; names that begin with `bad` cannot be attached. */
const choose = (configured: string[], wanted: string | undefined): Outcome => {
  const tried: string[] = []
  const closed: string[] = []
  const outcome = { attached: [], failures: [], tried, closed, error: null }
  try {
    const { attached, failures } = select(
      configured.map(name => ({ name })),
      wanted,
      ({ name }) => {
        tried.push(name)
        if (name.startsWith('bad')) throw new StoreError(`/dev/${name}: no such file`, 'ENOENT')
        return fake(name, { close: () => void closed.push(name) })
      },
    )
    return {
      ...outcome,
      attached: attached.map(({ name }) => name),
      failures: failures.map(({ name, error }) => `${name}: ${error.message}`),
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return { ...outcome, error: error.message }
  }
}

/** The same, each attached elsewhere and at another time: the first takes longest. */
const chooseSoon = async (configured: string[], wanted: string | undefined): Promise<Outcome> => {
  const tried: string[] = []
  const closed: string[] = []
  const outcome = { attached: [], failures: [], tried, closed, error: null }
  let wait = configured.length
  try {
    const { attached, failures } = await selectSoon(
      configured.map(name => ({ name })),
      wanted,
      async ({ name }) => {
        tried.push(name)
        for (let turns = wait--; turns > 0; turns--) await Promise.resolve()
        if (name.startsWith('bad')) throw new StoreError(`/dev/${name}: no such file`, 'ENOENT')
        return { name }
      },
      ({ name }) => void closed.push(name),
    )
    return {
      ...outcome,
      attached: attached.map(({ name }) => name),
      failures: failures.map(({ name, error }) => `${name}: ${error.message}`),
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    return { ...outcome, error: error.message }
  }
}

t.test('what is attached', async t => {
  for (const [configured, wanted, attached, tried = attached] of [
    ['ram', undefined, 'ram'],
    ['ram efi erst', undefined, 'ram'],
    ['bad efi erst', undefined, 'efi', 'bad efi'],
    ['ram efi erst', 'all', 'ram efi erst'],
    ['ram bad erst', 'all', 'ram erst', 'ram bad erst'],
    ['ram efi erst', 'erst', 'erst'],
    ['ram efi erst', 'erst,ram', 'erst ram'],
    ['ram efi erst', ' erst , ram ', 'erst ram'],
    ['cram ram ramoops', 'ram', 'ram'],
    ['ram bad', 'ram', 'ram'],
  ] as [string, string | undefined, string, string?][]) {
    const found = choose(configured.split(' '), wanted)
    t.equal(found.error, null)
    t.equal(found.attached.join(' '), attached, `${configured}, backend=${wanted}`)
    t.equal(found.tried.join(' '), tried, 'and no other is touched')
    t.same(await chooseSoon(configured.split(' '), wanted), found, 'and elsewhere')
  }
  t.same(choose(['bad', 'efi'], undefined).failures, ['bad: /dev/bad: no such file'])
  t.same(choose(['ram', 'bad1', 'bad2'], 'all').failures.length, 2)
})

t.test('what is refused', async t => {
  for (const [configured, wanted, why, closed = ''] of [
    ['cram', 'ram', /^backend 'ram': not known; there is cram$/],
    ['ram efi', 'ra', /^backend 'ra': not known; there is ram, efi$/],
    ['ram efi', 'RAM', /not known/],
    ['ram efi', '', /^backend '': not known/],
    ['ram efi', 'ram,', /^backend '': not known/],
    ['ram efi', 'ram,ram', /^backend 'ram': named twice$/],
    ['ram efi', 'ram,all', /^backend 'all': cannot be combined/],
    ['ram efi', '__proto__', /not known/],
    ['ram efi ram', 'all', /^backend 'ram': two have this name$/],
    ['ram efi ram', undefined, /two have this name/],
    ['ram bad', 'bad', /^backend bad: \/dev\/bad: no such file$/],
    ['ram bad', 'ram,bad', /^backend bad: /, 'ram'],
    ['bad', undefined, /^\/dev\/bad: no such file$/],
    ['bad1 bad2', undefined, /^none of 2 backends can be attached: bad1: .*; bad2: /],
    ['bad1 bad2', 'all', /^none of 2 backends/],
    ['all', 'all', /^backend 'all': means every/],
    ['a/b', 'all', /^backend 'a\/b': invalid backend name/],
  ] as [string, string | undefined, RegExp, string?][]) {
    const found = choose(configured.split(' '), wanted)
    t.match(found.error, why, `${configured}, backend=${wanted}`)
    t.equal(found.closed.join(' '), closed, 'what was attached is closed again')
    t.same(await chooseSoon(configured.split(' '), wanted), found, 'and elsewhere')
  }
  t.match(choose([], undefined).error, /no backend is configured/)
})

t.test('what nobody foresaw is not a failure to report', async t => {
  const attachOne = (): Backend => {
    throw new TypeError('a bug')
  }
  const both = [{ name: 'ram' }, { name: 'efi' }]
  t.throws(() => select(both, 'all', attachOne), TypeError)
  await t.rejects(
    selectSoon(both, 'all', attachOne, () => {}),
    TypeError,
  )
})

t.test('a thousand, and no more', async t => {
  const names = Array.from({ length: 1001 }, (_, i) => `guest${i}`)
  t.equal(choose(names.slice(1), 'all').attached.length, 1000)
  t.match(choose(names, undefined).error, /^1001 backends: 1000 at most$/)
  t.match(choose(names.slice(1), 'x').error, /there is guest1, .* … \(1000 in all\)$/)
})

t.test('names', async t => {
  for (const name of ['ramoops', 'guest-1', 'a', '9front', 'vm_1.img', 'x'.repeat(64), 'dmesg'])
    t.equal(badName(name), null, name)
  for (const name of [
    '',
    '.',
    '..',
    '.hidden',
    '-o',
    '_x',
    'a/b',
    'a b',
    'a\nb',
    'a\0b',
    'ü',
    'all',
    'x'.repeat(65),
    'dmesg-ramoops-0',
    'console-x-1.enc.z',
    'ttyprobe-a-1',
  ])
    t.match(badName(name), /./, JSON.stringify(name))
})

/** What {@link writeToAll} makes of some backends. */
const write = (t: Test, backends: Backend[]): { count: number | null; wrote: string[] } => {
  const wrote: string[] = []
  try {
    const count = writeToAll(backends, 'tty', backend => {
      wrote.push(backend.name)
      return backend.write({ type: 'tty', bytes: Buffer.from('text') })
    })
    return { count, wrote }
  } catch (error) {
    t.match((error as Error).message, /^(first|no backend has room for tty)$/)
    return { count: null, wrote }
  }
}

t.test('writes go to each that has a place', async t => {
  const fails = (name: string): Backend =>
    fake(name, {
      write: () => {
        throw new StoreError(name, 'EIO')
      },
    })
  const none = fake('none', { capacity: () => null })
  const readOnly = fake('readOnly', { readOnly: true })
  const short = fake('short', { write: () => 2 })
  for (const [backends, count, wrote] of [
    [[fake('a'), fake('b')], 4, 'a b'],
    [[short, fake('a'), short], 4, 'short a short'],
    [[none, readOnly, short], 2, 'short'],
    [[fake('a'), fails('first'), fails('second'), fake('b')], null, 'a first second b'],
    [[none, readOnly], null, ''],
    [[], null, ''],
  ] as [Backend[], number | null, string][]) {
    const found = write(t, backends)
    t.equal(found.count, count)
    t.equal(found.wrote.join(' '), wrote)
  }
})
