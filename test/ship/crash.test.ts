/** What of an archived crash leaves the machine, and what is noted of that. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { entriesOf } from '#src/archive/entries.js'
import { Folder } from '#src/native/folder.js'
import { thisHost } from '#src/native/host.js'
import { shippedCrash } from '#src/ship/crash.js'
import { isSent, markSent, markUsed, usedChannels } from '#src/ship/marks.js'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder, succeed } from '../program.js'

const options: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
const console = '[   11.000000] all is well\n[   12.000000] Kernel panic - not syncing: why\n'
const dump = 'Panic#1 Part1\n<0>[   12.000000] Kernel panic - not syncing: why\n'

const fill = (region: string): void => {
  fs.rmSync(region, { force: true })
  format(region, { ...options, mem_size: 32768 })
  const backend = attach(region, options)
  backend.write({ type: 'dmesg', bytes: Buffer.from(dump), time: { sec: 1_700_000_000n, nsec: 0 } })
  backend.write({ type: 'console', bytes: Buffer.from(console) })
  backend.close()
}

/** Archive a region. */
const archived = (t: Test, region: string): Folder => {
  const archive = folder(t)
  succeed(t, ['archive', region, archive, ...flags])
  const opened = Folder.any(archive)
  t.teardown(() => opened.close())
  return opened
}

const crashIn = (t: Test, archive: Folder) => {
  const [entry] = [...entriesOf(archive, why => t.fail(why))]
  const crash = archive.folder(entry!.folder)
  t.teardown(() => crash.close())
  return { crash, shipped: shippedCrash(crash, entry!) }
}

t.test('its facts and its records', async t => {
  const region = `${folder(t)}/region.img`
  fill(region)
  const { shipped } = crashIn(t, archived(t, region))
  const { uid, name, time, host, manifest, dumps, others } = shipped
  t.same(host, thisHost())
  t.equal(name, '2023-11-14T22:13:20Z-panic-1')
  t.same(time, { sec: 1_700_000_000n, nsec: 0 })
  t.equal(manifest.title, 'kernel panic: why')
  t.equal(uid, dumps[0]!.uid)
  t.same(
    [dumps, others].map(records => records.map(record => record.read().toString())),
    [[dump], [console]],
  )
})

t.test('the same record has the same uid, and none else has it', async t => {
  const [one, other] = ['one.img', 'other.img'].map(name => path.join(folder(t), name)) as [
    string,
    string,
  ]
  fill(one)
  fill(other)
  const first = archived(t, one)
  const uidsOf = (archive: Folder): string[] => {
    const { dumps, others } = crashIn(t, archive).shipped
    return [...dumps, ...others].map(({ uid }) => uid)
  }
  const uids = uidsOf(first)
  fill(one)
  t.same(uidsOf(archived(t, one)), uids, 'archived again elsewhere')
  const all = new Set([...uids, ...uidsOf(archived(t, other))])
  t.equal(all.size, 4, "two guests' consoles with the same text")
})

t.test('an archive of an earlier version, and marks', async t => {
  const region = `${folder(t)}/region.img`
  fill(region)
  const archive = archived(t, region)
  const name = fs.readdirSync(archive.path)[0]!
  const file = path.join(archive.path, name, 'records.json')
  const { host: _, ...old } = JSON.parse(fs.readFileSync(file, 'utf8')) as { host: unknown }
  fs.writeFileSync(file, JSON.stringify(old))
  const { crash, shipped } = crashIn(t, archive)
  t.equal(shipped.manifest.host, null)
  t.same(shipped.host, thisHost())
  t.same([isSent(crash, 'otlp'), usedChannels(archive)], [false, []])
  markUsed(archive, 'otlp')
  for (const _ of [1, 2]) markSent(crash, 'otlp')
  t.same(
    [isSent(crash, 'otlp'), isSent(crash, 'journal'), usedChannels(archive)],
    [true, false, ['otlp']],
  )
  t.equal([...entriesOf(archive, why => t.fail(why))].length, 1, 'a mark is no crash')
  fill(region)
  succeed(t, ['archive', region, archive.path, ...flags])
  t.equal([...entriesOf(archive, why => t.fail(why))].length, 2)
})
