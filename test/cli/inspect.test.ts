/** `info`, `check`, `ls --all`, `cat --raw` and `--salvage`: what is there, sound or damaged. */
import fs from 'node:fs'
import zlib from 'node:zlib'
import t, { type Test } from 'tap'
import { attach } from '#src/index.js'
import { deflate, salvage } from '#src/pstore/codecs/deflate.js'
import { badBlock, correctedBlock, type Condition } from '#src/pstore/condition.js'
import { fixtures, layoutOptions, loadFixture, type Fixture } from '../fixtures.js'
import { file, program, pstorefs, run, succeed } from '../program.js'
import { randomFor } from '../random.js'

/** Those in which something is lost; in all others at most corrected. */
const damaged = new Set([
  'dmesg-broken-header',
  'dmesg-enc-z',
  'dmesg-header-variants',
  'ecc-written-without',
  'ecc1-ftrace-live',
  'ecc1-header-lost',
  'ecc1-header-parity',
  'ecc1-unrecoverable',
  'ecc1-unrecoverable-dmesg',
  'ecc1-unrecoverable-text',
  'ecc8-ftrace-live',
  'header-edge',
  'header-invalid',
  'layout-changed',
  'raw-ff-ecc',
  'raw-random-ecc',
])
/** Those that no kernel has made a region of yet. */
const blank = new Set(['raw-ff', 'raw-random', 'raw-zero', 'raw-zero-ecc'])

const taken = fixtures().filter(
  ({ backend, complete, refusal }) => backend === 'ramoops' && complete && !refusal,
)

const placesOf = (t: Test, fixture: Fixture): Condition[] => {
  const backend = attach(file(t, fixture.region()), { ...fixture.layout, readOnly: true })
  t.teardown(() => backend.close())
  return [...backend.survey.conditions()]
}

t.test('every zone of every fixture', async t => {
  t.ok(taken.length > 60)
  for (const fixture of taken) {
    const places = placesOf(t, fixture)
    t.same(
      places.map(({ type, index, offset, length, room }) => [type, index, offset, length, room]),
      fixture.zones!.map(({ type, id, offset, size, data_size }) => [
        type,
        id,
        offset,
        size,
        data_size,
      ]),
      `${fixture.name}: where the kernel has them`,
    )
    t.equal(
      places.some(({ state }) => state === 'damaged'),
      damaged.has(fixture.name),
      fixture.name,
    )
    t.equal(
      places.every(({ state }) => state === 'unsigned'),
      blank.has(fixture.name),
      fixture.name,
    )
    for (const { name, record } of places)
      if (record) t.match(record, new RegExp(`^${name}(\\.enc\\.z)?$`))
    // The kernel counted for us what its parity found.
    for (const { name } of fixture.files) {
      const notice = /\nECC: (\d+) Corrected bytes, (\d+) unrecoverable blocks\n$/.exec(
        fixture.file(name).toString('latin1'),
      )
      // Linux takes its own notice for ftrace's records.
      if (!notice || name.startsWith('ftrace')) continue
      const { parity } = places.find(place => place.record === name)!
      t.same([parity!.corrected, parity!.bad], [Number(notice[1]), Number(notice[2])], name)
      t.ok(parity!.blocks.filter(block => block === badBlock).length <= parity!.bad)
      t.ok(parity!.blocks.filter(block => block === correctedBlock).length <= parity!.corrected)
    }
  }
})

t.test('check says what is damaged, and exits with 1', async t => {
  const check = (name: string, more: string[] = []) => {
    const fixture = loadFixture(name)
    const source = file(t, fixture.region())
    const { status, stdout, stderr } = pstorefs([
      'check',
      source,
      ...layoutOptions(fixture),
      ...more,
    ])
    t.equal(stderr, '')
    t.ok(fs.readFileSync(source).equals(fixture.region()), 'nothing is written')
    return { status, text: stdout.toString().replaceAll(source, 'R') }
  }
  t.same(check('all-noecc'), { status: 0, text: 'R: 7 sound, 2 empty\n' })
  const corrected = check('ecc1-corrected')
  t.equal(corrected.status, 0)
  t.match(corrected.text, /^dmesg-ramoops-0 {2}0x0 {2}sound {2}21 bytes of the data corrected\n/)
  const lost = check('ecc1-unrecoverable')
  t.equal(lost.status, 1)
  t.match(lost.text, /console-ramoops-0 {2}0x15ffe {2}damaged {2}23 blocks of the data cannot be/)
  t.match(lost.text, /R: 3 sound, 2 empty, 4 damaged\n$/)
  t.same(check('raw-zero'), {
    status: 1,
    text: 'R: 9 unsigned: no zone has a header: is the layout right?\n',
  })
  const [json] = JSON.parse(check('ecc1-unrecoverable-dmesg', ['--json']).text) as {
    damaged: boolean
    counts: { [state: string]: number }
    places: {
      name: string
      dump: { broken: { salvaged: number } } | null
      ecc: { bad_blocks: number[] }
    }[]
  }[]
  t.same([json.damaged, json.counts.damaged], [true, 3])
  t.equal(json.places[0].dump!.broken.salvaged, 4338)
  t.equal(json.places[0].ecc.bad_blocks.length, 1)
  t.equal(check('all-noecc', ['--verbose']).text.split('\n').length, 11)
  t.equal(pstorefs(['check']).status, 2)
})

t.test('the other stores', async t => {
  const sources: [string, string, string[], RegExp][] = [
    ['blk-all', 'zone:', ['--kmsg-size', '16K'], /sound/],
    ['efi-panic', 'efi:', [], /^.*: \d+ sound\n$/],
    ['erst-panics', 'erst:', [], /^.*: \d+ sound, \d+ empty\n$/],
  ]
  for (const [name, driver, options, expected] of sources) {
    const fixture = loadFixture(name)
    const blk = Object.entries(fixture.layout).filter(
      ([key]) => key.endsWith('_size') && key !== 'mem_size',
    )
    const all =
      name === 'blk-all'
        ? [
            ...blk.flatMap(([key, kib]) => [`--${key.replace('_', '-')}`, `${String(kib)}K`]),
            '--cpus',
            String(fixture.layout.cpus),
          ]
        : options
    const source = driver + file(t, fixture.region())
    const { status, stdout } = pstorefs(['check', source, ...all])
    t.equal(status, 0, name)
    t.match(stdout.toString(), expected, name)
    const info = succeed(t, ['info', source, ...all]).toString()
    for (const line of info.split('\n').slice(1)) t.ok(line.length <= 80, line)
    for (const { name } of fixture.files) {
      const raw = succeed(t, ['cat', '--raw', source, name, ...all])
      t.ok(raw.length > 0, name)
    }
    t.same(
      (JSON.parse(succeed(t, ['ls', '--all', '--json', source, ...all]).toString()) as object[])
        .length,
      fixture.files.length,
    )
  }
})

t.test('ls --all lists what Linux drops, and cat --raw gives it', async t => {
  const fixture = loadFixture('dmesg-broken-header')
  const source = file(t, fixture.region())
  const options = layoutOptions(fixture)
  const list = (more: string[]) =>
    JSON.parse(succeed(t, ['ls', source, '--json', ...options, ...more]).toString()) as {
      name: string
      size: number
      state?: string
      why?: string
    }[]
  const shown = list([])
  t.notOk(shown.some(record => 'state' in record))
  const all = list(['--all'])
  t.same(
    all.filter(({ state }) => state === 'shown').map(({ name }) => name),
    shown.map(({ name }) => name),
  )
  const dropped = all.filter(({ state }) => state === 'dropped')
  t.same(
    dropped.map(({ name }) => name),
    ['dmesg-ramoops-1', 'dmesg-ramoops-2'],
  )
  const region = fixture.region()
  for (const [i, { name, size, why }] of dropped.entries()) {
    t.match(why, 'does not begin as a dump')
    const { offset } = fixture.zones![i + 1]
    const raw = succeed(t, ['cat', '--raw', source, name, ...options])
    t.ok(raw.equals(region.subarray(offset + 12, offset + 12 + size)), name)
    t.equal(pstorefs(['cat', source, name, ...options]).status, 1)
  }
  t.match(succeed(t, ['ls', '-a', source, ...options]).toString(), /dropped: does not begin/)

  // An invalid header: all that there is.
  const invalid = loadFixture('header-invalid')
  const other = file(t, invalid.region())
  const raw = succeed(t, ['cat', '--raw', other, 'dmesg-ramoops-0', ...layoutOptions(invalid)])
  t.equal(raw.length, invalid.zones![0].data_size)
  // A record as it lies there: header line and stream.
  const deflated = loadFixture('dmesg-deflate')
  const third = file(t, deflated.region())
  const stream = succeed(t, ['cat', '--raw', third, 'dmesg-ramoops-0', ...layoutOptions(deflated)])
  const body = stream.subarray(stream.indexOf(0x0a) + 1)
  t.match(stream.toString('latin1'), /^====\d+\.\d{6}-C\n/)
  t.ok(zlib.inflateRawSync(body).equals(deflated.file('dmesg-ramoops-0')))
  t.match(
    pstorefs(['cat', '--raw', third, 'x', ...layoutOptions(deflated)]).stderr,
    /has no zone x/,
  )
})

t.test('the text before the damage', async t => {
  const random = randomFor(t)
  const text = Buffer.from(
    Array.from({ length: 500 }, (_, i) => `<6>[ ${i}.${random.below(1e6)}] line ${i}\n`).join(''),
  )
  const stream = deflate(text)
  const whole = salvage(stream, text.length)
  t.same([whole.text.all(), whole.breaks], [text, null])
  for (let round = 0; round < 20; round++) {
    const cut = random.below(stream.length)
    const short = salvage(stream.subarray(0, cut), text.length)
    t.equal(short.breaks, cut)
    t.ok(text.subarray(0, short.text.length).equals(short.text.all()), 'a beginning of it')
  }
  t.ok(salvage(stream, 1000).text.length <= 1000, 'a bomb gives no more than the limit')
  t.equal(salvage(random.bytes(0), 100).text.length, 0)

  const fixture = loadFixture('ecc1-unrecoverable-dmesg')
  const source = file(t, fixture.region())
  const args = [source, 'dmesg-ramoops-0.enc.z', '--salvage', ...layoutOptions(fixture)]
  const salvaged = succeed(t, ['cat', ...args]).toString()
  t.match(salvaged, /^(Panic|Oops)#\d+ Part1\n<\d>\[/)
  t.equal(salvaged.length, 4338)
  t.match(
    pstorefs(['cat', source, 'console-ramoops-0', '--salvage', ...layoutOptions(fixture)]).stderr,
    /has no broken dump or lost text console-ramoops-0: there is dmesg-ramoops-\d/,
  )
})

/** What a command prints on a terminal of so many columns. */
const onTerminal = (args: string[], columns: number, env = 'LC_ALL=C.UTF-8'): string => {
  const quoted = [process.execPath, program, ...args].map(arg => `'${arg}'`).join(' ')
  const { stdout } = run('script', [
    '-qec',
    `stty cols ${columns}; env -u NO_COLOR TERM=xterm ${env} ${quoted}`,
    '/dev/null',
  ])
  return stdout.toString().replaceAll('\r\n', '\n')
}

// oxlint-disable-next-line no-control-regex -- a terminal's sequences are what is looked for
const colours = /\x1b\[\d+m/g

t.test('info on terminals of any kind', async t => {
  for (const name of [
    'ecc1-unrecoverable',
    'layout-2m',
    'dmesg-header-variants',
    'pmsg-one-byte',
  ]) {
    const fixture = loadFixture(name)
    const args = ['info', file(t, fixture.region()), ...layoutOptions(fixture)]
    const piped = succeed(t, args).toString()
    // oxlint-disable-next-line no-control-regex -- a terminal's sequences are what is looked for
    t.notMatch(piped, /\x1b/, 'no colour in a pipe')
    for (const columns of [80, 110, 160]) {
      const text = onTerminal(args, columns)
      t.match(text, colours)
      for (const line of text.replaceAll(colours, '').split('\n').slice(1))
        t.ok(line.length <= columns, `${columns}: ${line}`)
    }
    const plain = onTerminal(args, 80, 'LC_ALL=C TERM=dumb')
    t.match(plain, /^[\n\x20-\x7e]*$/)
    for (const { type, id, offset } of fixture.zones!.slice(0, 1)) {
      t.match(plain, type)
      t.equal(id, 0)
      t.match(plain, `0x${offset.toString(16)}`)
    }
    t.notMatch(onTerminal(args, 80, 'NO_COLOR=1'), colours)
  }
})

t.test('info as SVG', async t => {
  const fixture = loadFixture('ecc1-unrecoverable')
  const source = file(t, fixture.region(), 'a <&"b.img')
  const svg = file(t, Buffer.alloc(0), 'report.svg')
  succeed(t, ['info', source, '--svg', svg, ...layoutOptions(fixture)])
  const parse =
    'import sys, xml.dom.minidom as d; print(len(d.parse(sys.argv[1]).getElementsByTagName("rect")))'
  const { status, stdout, stderr } = run('python3', ['-c', parse, svg])
  t.equal(status, 0, stderr)
  t.ok(Number(stdout.toString()) > 40)
  t.match(fs.readFileSync(svg, 'utf8'), 'a &lt;&amp;&quot;b.img')
  t.match(
    pstorefs(['info', source, '--svg', '/nonexistent/x', ...layoutOptions(fixture)]).stderr,
    /x: no such file\n$/,
  )
  // A picture takes an older one's place, and no region's.
  const drawn = fs.readFileSync(svg)
  fs.appendFileSync(svg, ' ')
  succeed(t, ['info', source, '--svg', svg, ...layoutOptions(fixture)])
  t.ok(fs.readFileSync(svg).equals(drawn))
  for (const other of [source, file(t, fixture.region(), 'other.img')]) {
    const refused = pstorefs(['info', source, '--svg', other, ...layoutOptions(fixture)])
    t.equal(refused.status, 1)
    t.match(refused.stderr, /img: not written: holds something that is no picture: name another/)
    t.ok(fs.readFileSync(other).equals(fixture.region()))
  }
})

t.test('help on a serial line, which has no width', async t => {
  t.equal(onTerminal(['help', 'ls'], 0), onTerminal(['help', 'ls'], 80))
})

t.test('cat on a terminal is text, and nothing that drives it', async t => {
  const layout = ['--console-size', '4K', '--record-size', '0']
  const source = file(t, Buffer.alloc(0))
  fs.rmSync(source)
  succeed(t, ['format', source, '--mem-size', '16K', ...layout])
  const bytes = Buffer.from('\x1b]0;title\x07 plain\ttab\n\x9b31m caf\u00e9\n', 'utf8')
  succeed(t, ['write', 'console', source, ...layout], bytes)
  const args = ['cat', source, 'console-ramoops-0', ...layout]
  t.ok(succeed(t, args).equals(bytes), 'in a pipe it is what it is')
  t.equal(onTerminal(args, 80), '^[]0;title^G plain\ttab\n\\x9b31m caf\u00e9\n')
  t.equal(onTerminal([...args, '--raw'], 80), bytes.toString())
})

t.test('whatever lies there', async t => {
  const random = randomFor(t)
  for (let round = 0; round < 60; round++) {
    const fixture = loadFixture(
      random.pick(['all-noecc', 'ecc1-all', 'dmesg-enc-z', 'header-edge']),
    )
    const region = fixture.region()
    for (let i = random.below(200); i > 0; i--)
      region[random.below(region.length)] = random.below(256)
    const backend = attach(file(t, region), { ...fixture.layout, readOnly: true })
    for (const { name, used, room, start, record } of backend.survey.conditions()) {
      if (used > room || start > used) t.fail(`${name}: ${start}, ${used} of ${room}`)
      if (record && !backend.find(record)) t.fail(`${record} is no record`)
      const raw = backend.survey.raw(name)
      if (!raw) t.fail(`${name}: no bytes`)
      backend.survey.salvage(name)
    }
    backend.close()
  }
})
