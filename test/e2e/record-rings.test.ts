/** Terminals in stores that keep records only (EFI, ERST), through the commands and the mount. */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach } from '#src/index.js'
import { loadFixture } from '../fixtures.js'
import { archiveBySystemd, folder, mount, pstorefs, succeed } from '../program.js'

const efi = (t: Test): string => {
  const path = `${folder(t)}/efivars`
  fs.mkdirSync(path)
  const fixture = loadFixture('efi-panic')
  for (const name of fixture.efivars!) fs.writeFileSync(`${path}/${name}`, fixture.efivar(name))
  return `efi:${path}`
}

const erst = (t: Test): string => {
  const source = `erst:${folder(t)}/erst.img`
  succeed(t, ['format', source, '--mem-size', '512K'])
  succeed(t, ['write', 'dmesg', source], Buffer.from('an older dump\n'))
  return source
}

for (const [name, make] of Object.entries({ efi_pstore: efi, erst })) {
  const ring = `tty-${name}-0`

  t.test(`${name}: a ring of the size that it is given`, async t => {
    const source = make(t)
    const before = succeed(t, ['ls', '--json', source])
    const options = ['--tty-size', '32K']
    succeed(t, ['write', 'tty', source, ...options], Buffer.from('one\n'))
    succeed(t, ['write', 'tty', source, ...options], Buffer.from('two\n'))
    t.equal(succeed(t, ['cat', source, ring]).toString(), 'one\ntwo\n', 'no size is needed to read')

    const mountpoint = mount(t, source, [])
    t.equal(fs.readFileSync(`${mountpoint}/${ring}`, 'latin1'), 'one\ntwo\n')
    t.equal(fs.statSync(`${mountpoint}/${ring}`).nlink, 2)
    const many = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''))
    succeed(t, ['write', 'tty', source, ...options], many)
    const shown = fs.readFileSync(`${mountpoint}/${ring}`)
    t.ok(many.subarray(-shown.length).equals(shown), 'the end of it')
    t.ok(shown.length >= 32768 && shown.length < 49152, `${shown.length} bytes`)

    fs.unlinkSync(`${mountpoint}/${ring}`)
    t.same(succeed(t, ['ls', '--json', source]), before, 'nothing else was touched')
    t.match(pstorefs(['cat', source, ring]).stderr, /has no record/)
  })

  t.test(`${name}: without a size nothing is written`, async t => {
    const source = make(t)
    const { status, stderr } = pstorefs(['write', 'tty', source], Buffer.from('x'))
    t.equal(status, 1)
    t.match(stderr, /has no tty zone; give it a size \(tty_size\)\n$/)
  })

  t.test(`${name}: dumps take as many records as Linux makes of them`, async t => {
    const source = make(t)
    const lines = Array.from({ length: 3000 }, (_, i) => `<6>[ ${i}.${(i * 7919) % 1e6}] line ${i}`)
    const text = Buffer.from(`${lines.join('\n')}\n`)
    for (const compress of ['deflate', 'none']) {
      const backend = attach(source, {})
      t.teardown(() => backend.close())
      for (const record of backend.records()) record.erase()
      succeed(t, ['write', 'dmesg', source, '--compress', compress], text)
      const parts = [...backend.records()].map(record => record.read().toString())
      const ordered = parts
        .map(part => /^Panic#(\d+) Part(\d+)\n(.*)$/s.exec(part)!)
        .sort((a, b) => Number(b[2]) - Number(a[2]))
      t.same(
        ordered.map(([, , part]) => Number(part)),
        Array.from({ length: parts.length }, (_, i) => parts.length - i),
      )
      t.equal(new Set(ordered.map(([, count]) => count)).size, 1, 'one dump')
      const joined = ordered.map(([, , , body]) => body).join('')
      t.equal(joined, text.toString().slice(-joined.length), 'the end of the text')
      t.match(joined, /^<6>/, 'from a line on')
      t.ok(joined.length >= 10240 - 100 * parts.length, `${joined.length} bytes of text`)
      if (compress === 'none')
        t.ok(parts.every(part => part.length <= (backend.capacity('dmesg')?.room ?? 0)))
    }
  })
}

t.test(
  'systemd-pstore archives a terminal beside the dumps',
  { skip: process.getuid!() !== 0 && 'only root can run systemd-pstore' },
  async t => {
    const source = efi(t)
    succeed(t, ['write', 'tty', source, '--tty-size', '16K'], Buffer.from('kdump: failed\r\n'))
    const mountpoint = mount(t, source, ['-o', 'subdirs=hidden'])
    const archive = folder(t)
    const { status, stderr } = archiveBySystemd(mountpoint, archive)
    t.equal(status, 0, stderr)
    t.same(fs.readdirSync(mountpoint), [])
    t.equal(fs.readFileSync(`${archive}/tty-efi_pstore-0`, 'latin1'), 'kdump: failed\r\n')
  },
)

t.test('a stream goes to every backend that has a place for it', async t => {
  const home = folder(t)
  succeed(t, ['format', `${home}/one.img`, '--mem-size', '64K', '--tty-size', '8K'])
  succeed(t, ['format', `${home}/two.img`, '--mem-size', '64K', '--console-size', '8K'])
  fs.mkdirSync(`${home}/efivars`)
  const config = `${home}/several.toml`
  fs.writeFileSync(
    config,
    `[backends.one]
    source = "one.img"
    tty_size = "8K"
    [backends.two]
    source = "two.img"
    console_size = "8K"
    [backends.efi]
    source = "efi:${home}/efivars"
    tty_size = "8K"`,
  )
  const write = (type: string, names: string, text: string) =>
    pstorefs(['write', type, '--config', config, '--backend', names], Buffer.from(text))
  const cat = (backend: string, name: string) =>
    succeed(t, ['cat', '--config', config, backend, name]).toString()
  t.equal(write('tty', 'all', 'to all\n').stderr, '')
  t.equal(cat('one', 'tty-one-0') + cat('efi', 'tty-efi-0'), 'to all\nto all\n')
  t.equal(write('tty', 'efi', 'to efi\n').status, 0)
  t.equal(cat('efi', 'tty-efi-0'), 'to all\nto efi\n')
  t.equal(write('console', 'one,two', 'console\n').status, 0)
  t.equal(cat('two', 'console-two-0') + cat('one', 'console-one-0'), 'console\nconsole\n')
  t.match(write('tty', 'two', '').stderr, /^pstorefs: two: has no tty zone/)
  t.match(write('tty', 'three', '').stderr, /^pstorefs: backend 'three': not known; there is one, /)
  // All get the dump, though one of them fails.
  fs.chmodSync(`${home}/efivars`, 0o755)
  t.equal(write('dmesg', 'all', 'Oops\n').status, 0)
  t.equal(cat('one', 'dmesg-one-0'), 'Panic#1 Part1\nOops\n')
})

t.test('an option that means nothing to a driver is refused', async t => {
  const { status, stderr } = pstorefs(['ls', efi(t), '--record-size', '4K'])
  t.equal(status, 1)
  t.match(stderr, /^pstorefs: efi:.*: record_size: not an option of the driver efi, which takes /)
})
