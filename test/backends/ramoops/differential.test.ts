/**
 * Random and damaged regions, read twice: by the program and by a slow model of FORMATS.md that
 * shares nothing with it. ROUNDS=n does more, SEED=n does one seed's again.
 */
import fs from 'node:fs'
import t from 'tap'
import { attach } from '#src/index.js'
import { randomLayout, randomRegion } from '../../model/make.js'
import { filesOf } from '../../model/region.js'
import { folder } from '../../program.js'
import { Random, randomFor } from '../../random.js'

const rounds = Number(process.env.ROUNDS ?? 500)

t.test(`${rounds} regions look the same to both`, async t => {
  const seeds = randomFor(t)
  const path = `${folder(t)}/region.img`
  const kinds = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    // The first region of a run is that of its seed, so that one region can be had again.
    const seed = round === 0 ? seeds.seed : seeds.below(2 ** 31)
    const random = new Random(seed)
    const layout = randomLayout(random)
    const region = randomRegion(random, layout)
    fs.writeFileSync(path, region)
    // ecc 1 means 16 to Linux; the model takes the number of bytes.
    const backend = attach(path, layout)
    const seen = [...backend.records()].map(record => ({
      name: record.name,
      size: record.size,
      time: record.time,
      bytes: backend.read(record),
    }))
    backend.close()
    const expected = filesOf(region, layout)
    for (const { name } of expected) {
      const kind = name.replace(/-ramoops-\d+/, '')
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    }
    const same =
      seen.length === expected.length &&
      seen.every(
        (file, i) =>
          file.name === expected[i].name &&
          file.size === expected[i].size &&
          file.time?.sec === expected[i].time?.sec &&
          file.time?.nsec === expected[i].time?.nsec &&
          file.bytes.equals(expected[i].bytes),
      )
    if (!same) {
      t.same(seen, expected, `SEED=${seed} ROUNDS=1: ${JSON.stringify(layout)}`)
      break
    }
  }
  const summary = [...kinds].map(([kind, count]) => `${count} ${kind}`).sort()
  t.comment(summary.join(', '))
  // Many more than these, or the regions show nothing.
  if (rounds >= 100) t.ok(kinds.size >= 6, `all kinds were there: ${summary.join(', ')}`)
})
