/** What the commands say and give of what damaged headers hide. */
import fs from 'node:fs'
import t from 'tap'
import { folder, pstorefs, succeed } from '../program.js'

t.test('a wrong bit, a lost header, and an erased dump', async t => {
  const source = `${folder(t)}/region.img`
  const sizes = ['--record-size', '4096', '--console-size', '4096', '--pmsg-size', '0']
  const layout = [...sizes, '--ftrace-size', '0']
  succeed(t, ['format', source, '--mem-size', '12288', ...layout])
  const text = `Oops#1 Part1\n${'<4>[    1.000000] unit 7: state busy\n'.repeat(20)}`
  succeed(t, ['write', 'dmesg', source, ...layout], Buffer.from(text))
  succeed(t, ['write', 'console', source, ...layout], Buffer.from(text))
  const image = fs.readFileSync(source)
  const look = (command: string, ...more: string[]) =>
    pstorefs([command, source, ...more, ...layout])

  image[2] ^= 0x10
  image.fill(0, 8192, 8204)
  fs.writeFileSync(source, image)
  const listed = look('ls', '--all').stdout.toString()
  t.match(
    listed,
    /dmesg-ramoops-0 .*dropped: the signature has 1 wrong bit: .* of a dump are still/,
  )
  t.match(listed, /console-ramoops-0 +\d\d\d .*dropped: the header is lost: .* bytes of text are/)
  for (const form of ['--json', '--json=false'])
    t.match(look('ls', form), {
      status: 0,
      stderr: /: no record, but 2 zones with what no file shows: see ls --all\n$/,
    })
  const shifted = pstorefs(['ls', source, '--record-size', '8192', ...layout.slice(2)])
  t.match(shifted, { status: 0, stderr: /^[^\n]+: the layout is not this region's[^\n]*\n$/ })
  t.notMatch(look('ls').stdout.toString(), /dropped/)
  const checked = look('check')
  t.equal(checked.status, 1)
  t.match(checked.stdout.toString(), /: 1 empty, 2 damaged\n$/)
  t.match(JSON.parse(look('check', '--json').stdout.toString()), [
    {
      places: [
        { state: 'damaged', remains: { holds: 'dump' } },
        {},
        { remains: { holds: 'text' } },
      ],
      counts: { damaged: 2, erased: 0 },
    },
  ])
  t.equal(look('cat', '--raw', 'console-ramoops-0').stdout.length, 4084)
  t.ok(look('cat', '--salvage', 'dmesg-ramoops-0').stdout.toString().endsWith(text))
  for (const name of ['dmesg-ramoops-0', 'dmesg-0', 'dmesg*', 'console'])
    t.match(look('erase', name).stderr, /has no record .* \(see ls --all, cat --raw\)/)
  t.match(look('cat').stderr, /has no record dmesg: no file shows .* \(see ls --all, cat --raw\)/)
  t.ok(fs.readFileSync(source).equals(image), 'nothing is changed')

  image[2] ^= 0x10
  image.fill(0, 4, 12)
  image.write('DBGC', 8192)
  fs.writeFileSync(source, image)
  t.match(look('ls'), {
    stdout: { length: 0 },
    stderr: /^pstorefs: \S+: no record: see ls --all for what was there\n$/,
  })
  t.match(look('ls', '-a').stdout.toString(), / erased, but \d+ bytes of a dump are still there\n/)
  const after = look('check')
  t.match([after.status, after.stdout.toString()], [0, /: 1 empty, 2 erased\n$/])
  t.ok(look('cat', '--salvage', 'dmesg-ramoops-0').stdout.toString().endsWith(text))
})

t.test('where nothing is left a line says so', async t => {
  const home = folder(t)
  const source = `${home}/region.img`
  const layout = ['--record-size', '4096', '--console-size', '4096', '--ftrace-size', '0']
  succeed(t, ['format', source, '--mem-size', '16384', ...layout])
  const cat = (...args: string[]) => {
    const { status, stdout, stderr } = pstorefs(['cat', ...args])
    return [status, stdout.toString(), stderr]
  }
  t.match(cat('--raw', source, 'dmesg-0', ...layout), [
    0,
    '',
    /^pstorefs: dmesg-ramoops-0: nothing is in there\n$/,
  ])
  succeed(t, ['write', 'console', source, ...layout], Buffer.from('a line\n'))
  t.same(cat('--raw', source, 'dmesg-0', 'console', ...layout), [0, 'a line\n', ''])
  // A stream of zstd that breaks within its first block.
  const copies = folder(t)
  fs.writeFileSync(`${copies}/dmesg-ramoops-0.enc.z`, Buffer.from('28b52ffd0058150000', 'hex'))
  t.match(cat('--salvage', copies, 'dmesg-0'), [1, '', /: no text is left before the damage\n$/])
})
