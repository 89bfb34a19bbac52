/** What the commands say of a store of which a part cannot be read, or is not there. */
import fs from 'node:fs'
import t from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import type { RingType } from '#src/pstore/types.js'
import { folder, pstorefs, succeed } from '../program.js'
import { faultyDisk } from '../e2e/faulty-disk.js'
import { makeStore } from '../backends/efi/stores.js'

const asRoot = process.getuid?.() !== 0 && 'only root can mount a disk that fails'

const dumps = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
].map(
  ([n, part]) =>
    ({
      type: 'dmesg',
      bytes: Buffer.from(
        `Panic#${n} Part${part}\n<0>[    1.000000] Kernel panic - not syncing: ${n}\n`,
      ),
      time: { sec: 1_700_000_000n + BigInt(100 * Number(n)), nsec: 0 },
    }) as const,
)

/** Two panics of two parts, and the rings that a store has. */
const make = (source: string, options: AttachOptions, types: readonly RingType[]): void => {
  format(source, options)
  const backend = attach(source, options)
  for (const dump of dumps) backend.write(dump)
  for (const type of types) backend.write({ type, bytes: Buffer.from(`${type}\n`) })
  backend.close()
}

const attachedNames = (path: string): string[] => {
  const backend = attach(`erst:${path}`, {})
  const names = Array.from(backend.records(), ({ name }) => name)
  backend.close()
  return names
}

const rings = { console_size: 4096, pmsg_size: 4096, ftrace_size: 0 }

for (const [driver, options, types] of [
  ['ramoops', { mem_size: 6 * 4096, record_size: 4096, ...rings }, ['console', 'pmsg']],
  ['zone', { mem_size: 6 * 4096, kmsg_size: 4096, ...rings }, ['console', 'pmsg']],
  ['erst', { mem_size: 8 * 4096, record_size: 4096 }, []],
] as const)
  t.test(`${driver}: a bad sector at a record`, { skip: asRoot }, async t => {
    const { region, fail } = await faultyDisk(t, path => make(`${driver}:${path}`, options, types))
    const source = `${driver}:${region}`
    const { mem_size: _, ...layout } = options
    const args = driver === 'erst' ? [] : Object.entries(layout).map(([k, v]) => `--${k}=${v}`)
    const backend = attach(source, driver === 'erst' ? {} : layout)
    t.teardown(() => backend.close())
    const places = [...backend.survey.conditions()].filter(({ record }) => record !== null)
    const names = places.map(({ record }) => record!)
    t.equal(names.length, 4 + types.length)
    const [lost, ...others] = names
    fail(`${places[0]!.offset!} ${places[0]!.offset! + 512}`)
    const listed = pstorefs(['ls', source, ...args])
    t.equal(listed.status, 1)
    t.match(listed.stderr, new RegExp(`^pstorefs: [^\n]*i/o error[^\n]*${lost}[^\n]*\n$`))
    t.notMatch(listed.stdout.toString(), `${lost} `)
    for (const name of others) t.match(listed.stdout.toString(), `${name} `)
    const archive = `${folder(t)}/archive`
    const kept = pstorefs(['archive', source, archive, ...args])
    t.equal(kept.status, 1, kept.stderr)
    t.match(kept.stderr, `${lost} was not archived, and stays in the store\n`)
    const archived = (): string[] =>
      fs
        .readdirSync(archive)
        .flatMap(name => fs.readdirSync(`${archive}/${name}`))
        .filter(name => names.includes(name))
        .sort()
    t.same(archived(), [...others].sort(), 'all that can be read')
    const again = pstorefs(['archive', source, archive, ...args])
    t.equal(again.status, 1, 'it is still there')
    t.same(archived(), [...others].sort(), 'and nothing is archived twice')
    fail('')
    succeed(t, ['archive', source, archive, ...args])
    t.same(archived(), [...names].sort(), 'what is well again follows')
    t.equal(pstorefs(['ls', source, ...args]).stdout.length, 0)
  })

t.test('an archive says what it lacks', { skip: asRoot }, async t => {
  const { region, fail } = await faultyDisk(t, path =>
    make(`erst:${path}`, { mem_size: 8 * 4096, record_size: 4096 }, []),
  )
  const backend = attach(`erst:${region}`, {})
  t.teardown(() => backend.close())
  const [place] = [...backend.survey.conditions()].filter(({ record }) => record !== null)
  const lost = place!.record!
  fail(`${place!.offset!} ${place!.offset! + 512}`)
  const archive = `${folder(t)}/archive`
  pstorefs(['archive', `erst:${region}`, archive])
  const folders = fs.readdirSync(archive)
  t.equal(folders.length, 2)
  const textsOf = (file: string): string[] =>
    folders.map(name => fs.readFileSync(`${archive}/${name}/${file}`, 'utf8'))
  t.same(
    textsOf('records.json').flatMap(
      text => (JSON.parse(text) as { unreadable: string[] }).unreadable,
    ),
    [lost],
  )
  t.ok(
    textsOf('summary.txt').some(text =>
      text.includes(`${lost}   -  cannot be read: not in this archive\n`),
    ),
  )
})

t.test('records of one id are archived and erased one by one', async t => {
  const path = `${folder(t)}/store.erst`
  make(`erst:${path}`, { mem_size: 8 * 4096, record_size: 4096 }, [])
  const image = fs.readFileSync(path)
  // The map has each record's id, and so has its header: the second gets the first one's.
  const [first, second] = [...attachedNames(path)]
  const ids = [first, second].map(name => BigInt(name!.split('-').at(-1)!))
  for (let at = 0; at + 8 <= image.length; at++)
    if (image.readBigUInt64LE(at) === ids[1]) image.writeBigUInt64LE(ids[0]!, at)
  fs.writeFileSync(path, image)
  const twins = attachedNames(path)
  t.same(twins.slice(0, 2), [first, `${first}.2`])
  t.match(succeed(t, ['cat', path, `${first}.2`]).toString(), /Panic#1 Part2/)
  succeed(t, ['erase', path, `${first}.2`])
  t.same(
    attachedNames(path),
    twins.filter(name => name !== `${first}.2`),
  )
  fs.writeFileSync(path, image)
  const archive = `${folder(t)}/archive`
  succeed(t, ['archive', path, archive])
  t.same(attachedNames(path), [])
  const archived = fs
    .readdirSync(archive)
    .flatMap(name => fs.readdirSync(`${archive}/${name}`))
    .filter(name => name.startsWith('dmesg-'))
  t.same(archived.sort(), [...twins].sort())
})

t.test('stores that were cut short', async t => {
  const home = folder(t)
  const path = `${home}/store.erst`
  make(`erst:${path}`, { mem_size: 8 * 4096, record_size: 4096 }, [])
  fs.truncateSync(path, 3 * 4096)
  const erst = pstorefs(['check', `erst:${path}`])
  t.equal(erst.status, 1)
  t.match(erst.stdout.toString(), /2 records of its map lie beyond its end/)
  t.match(pstorefs(['ls', '--all', `erst:${path}`]).stdout.toString(), /2 records of its map lie/)
  const vars = `${home}/VARS.fd`
  fs.writeFileSync(vars, makeStore([{ name: 'dump-type0-1-1-1700000000-D' }]).bytes)
  t.match(pstorefs(['info', `efi:${vars}`]).stdout.toString(), /records take \d+ B of [\d.]+ KiB/)
  fs.truncateSync(vars, 20000)
  const efi = pstorefs(['check', `efi:${vars}`])
  t.equal(efi.status, 1)
  t.match(efi.stdout.toString(), /was cut short: .* 65536 bytes, the source has 20000/)
})
