/** `attach=boot`: what the last life left is shown, and this life starts with empty rings. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions, type Backend } from '#src/index.js'
import { StoreError } from '#src/pstore/errors.js'
import type { Store } from '#src/pstore/store.js'
import { Region } from '#src/region/region.js'
import { beginLife } from '#src/boot/last-life.js'
import type { RecordType } from '#src/pstore/types.js'
import { fixtures, loadFixture, type Fixture } from '../fixtures.js'
import { file, folder, run } from '../program.js'

interface Machine {
  source: string
  options: AttachOptions
  state: string
}

/** Begin a life, or go on with it. */
const live = ({ source, options, state }: Machine, boot: string): Backend =>
  beginLife(attach(source, options) as Store, { state, boot })

/** What a backend shows, by file name. */
const shown = (backend: Backend): { [name: string]: string } =>
  Object.fromEntries(
    Array.from(backend.records(), record => [record.name, record.read().toString('latin1')]),
  )

/** Begin a life, look, and end it. */
const look = (machine: Machine, boot: string): { [name: string]: string } => {
  const backend = live(machine, boot)
  const found = shown(backend)
  backend.close()
  return found
}

/** What another process sees of the store itself. */
const zones = ({ source, options }: Machine): { [name: string]: string } => {
  const backend = attach(source, { ...options, readOnly: true })
  const found = shown(backend)
  backend.close()
  return found
}

/** What another process writes. */
const say = ({ source, options }: Machine, type: RecordType, text: string): void => {
  const backend = attach(source, options)
  backend.write({ type, bytes: Buffer.from(text) })
  backend.close()
}

const stateFiles = ({ state }: Machine): string[] => fs.readdirSync(state)

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 4096,
  tty_size: 4096,
  ftrace_size: 0,
}

const machine = (t: Test, options: AttachOptions = {}): Machine => {
  const home = folder(t)
  const made = {
    source: `${home}/region.img`,
    options: { ...layout, ...options },
    state: `${home}/state`,
  }
  format(made.source, { ...made.options, mem_size: 20480 })
  return made
}

t.test('a boot log is of this life, and stays', async t => {
  const home = folder(t)
  const m = {
    source: `${home}/region.img`,
    options: { preset: 'rockchip', mem_size: 896 << 10 },
    state: `${home}/state`,
  }
  format(m.source, m.options)
  say(m, 'boot-log', 'U-Boot 2\n')
  say(m, 'console', 'console 1\n')
  t.same(look(m, 'two'), { 'console-ramoops-0': 'console 1\n', 'boot-log-ramoops-0': 'U-Boot 2\n' })
  t.same(zones(m), { 'boot-log-ramoops-0': 'U-Boot 2\n' })
})

t.test('one life after the other', async t => {
  for (const ecc of [0, 16]) {
    const m = machine(t, { ecc })
    const notice = ecc ? '\nECC: No errors detected\n' : ''
    say(m, 'console', 'console 1\n')
    say(m, 'tty', 'tty 1\n')
    say(m, 'dmesg', 'Panic#1 Part1\n')
    const first = {
      'dmesg-ramoops-0': `Panic#1 Part1\n${notice}`,
      'console-ramoops-0': `console 1\n${notice}`,
      'tty-ramoops-0': `tty 1\n${notice}`,
    }
    const backend = live(m, 'two')
    t.same(shown(backend), first)
    t.same(Object.keys(zones(m)), ['dmesg-ramoops-0'], 'the rings are empty')
    t.same(stateFiles(m).length, 1)

    // This life's text is not shown, and stays where it is.
    say(m, 'console', 'console 2\n')
    say(m, 'pmsg', 'pmsg 2\n')
    t.same(shown(backend), first)
    t.equal(backend.find('pmsg-ramoops-0'), null)
    say(m, 'dmesg', 'Oops#1 Part1\n')
    t.ok(backend.find('dmesg-ramoops-1'), 'a dump is shown at once')
    backend.close()

    // Another daemon in the same life goes on with it.
    const again = live(m, 'two')
    t.equal(shown(again)['console-ramoops-0'], first['console-ramoops-0'])
    const gone = again.find('console-ramoops-0')!
    t.equal(gone.erase(), true)
    t.equal(again.find('console-ramoops-0'), null)
    t.throws(() => gone.erase(), /no such record/)
    t.throws(() => gone.read(), /no such record/)
    again.close()
    t.same(Object.keys(look(m, 'two')), ['dmesg-ramoops-0', 'dmesg-ramoops-1', 'tty-ramoops-0'])
    t.equal(zones(m)['console-ramoops-0'], `console 2\n${notice}`, 'only the copy is gone')

    // The next one has this one's text, and no more of the first one's.
    t.same(look(m, 'three'), {
      'dmesg-ramoops-0': first['dmesg-ramoops-0'],
      'dmesg-ramoops-1': `Oops#1 Part1\n${notice}`,
      'console-ramoops-0': `console 2\n${notice}`,
      'pmsg-ramoops-0': `pmsg 2\n${notice}`,
    })
    t.same(Object.keys(look(m, 'four')), ['dmesg-ramoops-0', 'dmesg-ramoops-1'])
    const last = live(m, 'four')
    last.find('dmesg-ramoops-0')!.erase()
    last.close()
    t.same(Object.keys(zones(m)), ['dmesg-ramoops-1'], "a dump's zone is erased")
  }
})

/** The layout of a fixture as options, with the driver that they are for. */
const machineOf = (t: Test, fixture: Fixture): Machine => {
  const { backend, layout } = fixture
  const source = file(t, fixture.region())
  const state = `${folder(t)}/state`
  if (backend === 'ramoops') return { source, options: layout, state }
  const options: AttachOptions = { cpus: layout.cpus ?? 1 }
  for (const name of ['kmsg_size', 'console_size', 'pmsg_size', 'ftrace_size'] as const)
    options[name] = (layout[name] ?? 0) << 10
  return { source: `zone:${source}`, options, state }
}

t.test('what real kernels left', async t => {
  let rings = 0
  for (const fixture of [
    ...fixtures('all'),
    ...fixtures('ecc'),
    ...fixtures('blk'),
    ...fixtures('co'),
  ]) {
    if (!fixture.complete || fixture.refusal) continue
    const m = machineOf(t, fixture)
    const before = zones(m)
    // Linux makes a store of any disk that it is told of; here that takes a word more.
    if (fixture.name === 'blk-random') {
      t.throws(() => live(m, 'next'), /no zone of this layout has a header/)
      m.options.force = true
    }
    const records = live(m, 'next')
    t.same(shown(records), before, `${fixture.name}: shown as by any other mount`)
    const sizes = Array.from(records.records(), ({ name, size }) => [name, size])
    t.same(
      sizes.filter(([name]) => fixture.files.some(file => file.name === name)),
      sizes
        .map(([name]) => fixture.files.find(file => file.name === name))
        .filter(file => file !== undefined)
        .map(({ name, size }) => [name, size]),
    )
    const left = Object.keys(zones(m))
    t.notOk(
      left.some(name => !name.startsWith('dmesg-')),
      `${fixture.name}: the rings are empty`,
    )
    t.same(
      left,
      Object.keys(before).filter(name => name.startsWith('dmesg-')),
    )
    rings += Object.keys(before).length - left.length
    // Ready for writers, and told from what is kept.
    for (const type of ['console', 'pmsg'] as const)
      if ((records.capacity(type)?.room ?? 0) > 0)
        records.write({ type, bytes: Buffer.from('this life\n') })
    t.same(shown(records), before)
    records.close()
    for (const [name, text] of Object.entries(look(m, 'one after')))
      if (!name.startsWith('dmesg-')) t.match(text, /^this life\n(\nECC: .*\n)?$/)
  }
  t.ok(rings > 40, `${rings} rings`)
})

t.test('a layout that the bytes deny is not written to, but for one that keeps no parity', t => {
  const made = { record_size: 16384, console_size: 16384, ftrace_size: 0, pmsg_size: 8192 }
  const denied = /the layout is not this region's/
  for (const [what, before, given, refusal] of [
    ['the same', made, made, null],
    ['smaller records', made, { ...made, record_size: 8192 }, denied],
    ['larger records', made, { ...made, record_size: 32768 }, denied],
    ['a smaller console', made, { ...made, console_size: 8192 }, denied],
    ['another parity', { ...made, ecc: 16 }, { ...made, ecc: 4 }, denied],
    ['no parity', { ...made, ecc: 16 }, made, null],
  ] as const) {
    const home = folder(t)
    format(`${home}/made.img`, { ...before, mem_size: 1 << 17 })
    const first = attach(`${home}/made.img`, before)
    for (const sec of [1n, 2n, 3n])
      first.write({
        type: 'dmesg',
        bytes: Buffer.from(`Oops#1 Part1\n${'x'.repeat(9000)}`),
        time: { sec: 1_700_000_000n + sec, nsec: 0 },
      })
    first.write({ type: 'console', bytes: Buffer.from('last words\n'.repeat(300)) })
    first.close()
    // A copy does not remember what it was made as.
    const source = file(t, fs.readFileSync(`${home}/made.img`))
    const write = (): void => {
      const life = attach(source, { ...given, attach: 'boot', state: `${home}/state` })
      try {
        life.write({ type: 'console', bytes: Buffer.from('this life\n') })
      } finally {
        life.close()
      }
    }
    if (refusal) t.throws(write, refusal, what)
    else t.doesNotThrow(write, what)
  }
  t.end()
})

t.test('dumps are as they were, byte for byte', async t => {
  const fixture = loadFixture('ecc1-all')
  const m = machineOf(t, fixture)
  look(m, 'next')
  const now = fs.readFileSync(m.source)
  const before = fixture.region()
  for (const { type, offset, size } of fixture.zones!)
    if (type === 'dmesg')
      t.ok(now.subarray(offset, offset + size).equals(before.subarray(offset, offset + size)))
})

t.test('damaged rings', async t => {
  // The header claims more than the zone holds: no record, and its bytes are kept.
  const m = machine(t)
  say(m, 'console', 'lost words\n')
  say(m, 'pmsg', 'a neighbour\n')
  const bytes = fs.readFileSync(m.source)
  bytes.writeUInt32LE(9999, 8192 + 8)
  fs.writeFileSync(m.source, bytes)
  const backend = live(m, 'next')
  t.same(shown(backend), { 'pmsg-ramoops-0': 'a neighbour\n' })
  t.match(backend.survey.raw('console-ramoops-0')!.toString('latin1'), /^lost words\n/)
  backend.write({ type: 'console', bytes: Buffer.from('new words\n') })
  backend.close()
  t.same(zones(m), { 'console-ramoops-0': 'new words\n' })
  const again = live(m, 'next')
  t.match(again.survey.raw('console-ramoops-0')!.toString('latin1'), /^lost words\n/)
  again.close()
  t.same(look(m, 'and next'), { 'console-ramoops-0': 'new words\n' })

  // More errors than parity can correct: shown with the kernel's notice.
  const parity = machine(t, { ecc: 16 })
  say(parity, 'console', 'x'.repeat(300))
  const holed = fs.readFileSync(parity.source)
  holed.fill('?', 8192 + 12 + 20, 8192 + 12 + 60)
  fs.writeFileSync(parity.source, holed)
  const kept = live(parity, 'next')
  t.match(
    shown(kept)['console-ramoops-0'],
    /^x+\?{40}x+\nECC: 0 Corrected bytes, 1 unrecoverable blocks\n$/,
  )
  t.same(kept.find('console-ramoops-0')!.ecc, { corrected: 0, bad: 1 })
  t.match(kept.survey.raw('console-ramoops-0')!.toString(), /^x{20}\?{40}x{240}$/)
  kept.find('console-ramoops-0')!.erase()
  kept.close()
  t.notMatch(fs.readFileSync(`${parity.state}/${stateFiles(parity)[0]}`, 'latin1'), /\?\?/)
})

t.test('a region after a power cut becomes one', async t => {
  const m = machine(t)
  fs.writeFileSync(m.source, Buffer.alloc(20480, 0xa5))
  t.throws(() => live(m, 'next'), /no zone of this layout has a header/, 'a file may be anything')
  t.ok(fs.readFileSync(m.source).every(byte => byte === 0xa5))
  m.options.force = true
  t.same(look(m, 'next'), {})
  say(m, 'console', 'first words\n')
  say(m, 'dmesg', 'Oops#1 Part1\n')
  t.same(look(m, 'and next'), {
    'dmesg-ramoops-0': 'Oops#1 Part1\n',
    'console-ramoops-0': 'first words\n',
  })
})

t.test('what can only be read is kept in memory', async t => {
  const m = machine(t)
  say(m, 'console', 'console 1\n')
  const before = fs.readFileSync(m.source)
  const readOnly = { ...m, options: { ...m.options, readOnly: true } }
  const backend = live(readOnly, 'two')
  say(m, 'console', 'console 2\n')
  t.same(shown(backend), { 'console-ramoops-0': 'console 1\n' })
  t.throws(() => backend.find('console-ramoops-0')!.erase(), /is read-only/)
  backend.close()
  t.notOk(fs.existsSync(m.state))
  fs.writeFileSync(m.source, before)
  look(m, 'two')
  say(m, 'console', 'console 2\n')
  const after = fs.readFileSync(m.source)
  t.same(look(readOnly, 'two'), { 'console-ramoops-0': 'console 1\n' }, 'what this life has kept')
  t.same(look(readOnly, 'three'), { 'console-ramoops-0': 'console 2\n' })
  t.same(fs.readFileSync(m.source), after)
})

t.test('where the copies cannot be kept, nothing is changed', async t => {
  const m = machine(t)
  say(m, 'console', 'console 1\n')
  const before = fs.readFileSync(m.source)
  fs.writeFileSync(m.state, 'in the way')
  t.throws(() => live(m, 'two'), /state: cannot be used: .*state=DIR/)
  t.same(fs.readFileSync(m.source), before)
  fs.unlinkSync(m.state)
  look(m, 'two')
  say(m, 'console', 'console 2\n')
  const kept = `${m.state}/${stateFiles(m)[0]}`
  for (const text of [
    '',
    'rubbish\n',
    '{"format":"pstorefs kept 1","rings":[{"type":"tty","shown":9}]}\n',
  ]) {
    fs.writeFileSync(kept, text)
    t.throws(() => live(m, 'two'), /\.kept: is damaged: /)
    t.same(zones(m), { 'console-ramoops-0': 'console 2\n' })
  }
  fs.unlinkSync(kept)
  run('mkfifo', [kept])
  t.throws(() => live(m, 'two'), /\.kept: is a pipe or socket, not a file$/)
  t.same(zones(m), { 'console-ramoops-0': 'console 2\n' })
})

t.test('what lies where the copies are written is replaced', async t => {
  const m = machine(t)
  say(m, 'console', 'console 1\n')
  look(m, 'two')
  const [name] = stateFiles(m)
  const victim = `${folder(t)}/victim`
  fs.writeFileSync(victim, 'precious')
  for (const [n, put] of [
    [3, (file: string): void => void run('mkfifo', [file])],
    [4, (file: string): void => fs.symlinkSync(victim, file)],
  ] as const) {
    say(m, 'console', `console ${n}\n`)
    put(`${m.state}/.${name}.new`)
    t.same(look(m, `life ${n}`), { 'console-ramoops-0': `console ${n}\n` })
  }
  t.equal(fs.readFileSync(victim, 'latin1'), 'precious')
})

t.test('two stores of one name', async t => {
  const a = machine(t)
  const b = { ...machine(t), state: a.state }
  say(a, 'console', 'a\n')
  say(b, 'console', 'b\n')
  for (const [m, text] of [
    [a, 'a\n'],
    [b, 'b\n'],
    [a, 'a\n'],
  ] as const)
    t.same(look(m, 'two'), { 'console-ramoops-0': text })
})

t.test('rings in records', async t => {
  const home = folder(t)
  fs.mkdirSync(`${home}/efivars`)
  format(`erst:${home}/erst.img`, { mem_size: 256 << 10 })
  for (const source of [`efi:${home}/efivars`, `erst:${home}/erst.img`]) {
    const m = { source, options: { tty_size: 16384, console_size: 4096 }, state: `${home}/state` }
    const name = source.startsWith('efi') ? 'efi_pstore' : 'erst'
    const long = 'words and more words\n'.repeat(300)
    say(m, 'tty', long)
    say(m, 'dmesg', 'Panic#1 Part1\nx\n')
    const before = zones(m)
    const backend = live(m, 'two')
    t.same(shown(backend), before)
    t.equal(before[`tty-${name}-0`], long)
    t.same(
      Object.keys(zones(m)),
      Object.keys(before).filter(name => name.startsWith('dmesg')),
    )
    say(m, 'tty', 'words\n')
    t.same(shown(backend), before)
    backend.close()
    t.equal(look(m, 'three')[`tty-${name}-0`], 'words\n')
  }
})

t.test('a dump that cannot be read keeps no life from beginning', async t => {
  const one = machine(t)
  const { source, options } = one
  const backend = attach(source, options)
  backend.write({ type: 'dmesg', bytes: Buffer.from('Panic#1 Part1\n') })
  backend.write({ type: 'console', bytes: Buffer.from('old life\n') })
  const places = [...backend.survey.conditions()]
  backend.close()
  const { loadInto } = Region.prototype
  t.teardown(() => (Region.prototype.loadInto = loadInto))
  const failAt = (type: RecordType): void => {
    const { offset } = places.find(place => place.type === type && place.used > 0)!
    Region.prototype.loadInto = function (bytes, at, length) {
      if (at <= offset! + 12 && at + length > offset! + 12)
        throw new StoreError(`${this.path}: a bad sector`, 'EIO')
      loadInto.call(this, bytes, at, length)
    }
  }
  failAt('console')
  t.throws(() => live(one, 'one'), { code: 'EIO' }, 'a ring that cannot be kept is not emptied')
  failAt('dmesg')
  const life = live(one, 'one')
  t.equal(life.find('console-ramoops-0')?.read().toString(), 'old life\n')
  life.close()
  Region.prototype.loadInto = loadInto
  t.same(look(one, 'one'), {
    'dmesg-ramoops-0': 'Panic#1 Part1\n',
    'console-ramoops-0': 'old life\n',
  })
})
