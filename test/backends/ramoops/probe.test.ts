/** Layouts found out from the bytes: right wherever they decide, and never wrong where said to be certain. */
import fs from 'node:fs'
import t from 'tap'
import { probeSource } from '#src/index.js'
import type { FoundRegion } from '#src/backends/ramoops/probe/probe.js'
import { makeLayout, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import { fixtures, type Fixture } from '../../fixtures.js'
import { file, folder } from '../../program.js'
import { randomFor } from '../../random.js'

const M = 2 ** 20

/** What differs between the kernel that read a fixture and the one that wrote it. */
const written: { [fixture: string]: RamoopsParameters } = {
  'ecc-read-without': { ecc: 1 },
  'ecc-written-without': { ecc: 0 },
  'layout-changed': { record_size: 16384 },
}

/** What nothing was ever written to, or by no kernel that could: there is no region to find. */
const blank = new Set(
  (
    'raw-ff raw-ff-ecc raw-random raw-random-ecc raw-zero raw-zero-ecc ' +
    'ecc-invalid ecc255 ecc300 layout-dmesg-too-small layout-overflow'
  ).split(' '),
)

/** Made by hand with fewer zones than a kernel makes, or written by one that crashed on its layout. */
const unmade = new Set([
  'dmesg-header-variants',
  'dmesg-rotated',
  'ecc128',
  'ecc200',
  'layout-console-tiny',
])

/** Whose contents and headers decide every zone. */
const decided = new Set(
  (
    'all-noecc console-wrapped dmesg-big-record dmesg-broken-header dmesg-empty-body ' +
    'dmesg-empty-body-ecc dmesg-enc-z dmesg-many dmesg-wrap ecc-read-without ecc-written-without ' +
    'ecc1-all ecc1-corrected ecc1-corrected-max ecc1-ftrace-live ecc1-header-parity ecc1-parity-flip ' +
    'ecc1-unrecoverable ecc1-unrecoverable-dmesg ecc1-unrecoverable-text ecc128-small ecc2-all ' +
    'ecc32-all ecc4-all ecc64-all ecc7-all ecc8-ftrace-live first-boot-random first-boot-random-ecc ' +
    'ftrace-flags0 ftrace-other-version ftrace-percpu ftrace-percpu3 ftrace-percpu4 ftrace-single ' +
    'header-edge layout-2m layout-changed layout-defaults layout-nonpow2 layout-nonpow2-ecc ' +
    'layout-odd-zone pmsg-exact pmsg-oversize pmsg-wrapped'
  ).split(' '),
)

/** What zones a layout makes, as text. */
const zonesOf = (parameters: RamoopsParameters): string => {
  const { zones, ecc, endian } = makeLayout(parameters, 0)
  return `${zones.map(({ kind, offset, size }) => `${kind}@${offset}+${size}`).join()} ecc ${ecc} ${endian}`
}

const truth = (fixture: Fixture): string => zonesOf({ ...fixture.layout, ...written[fixture.name] })

const regionsIn = (source: string): FoundRegion[] => probeSource(source).regions

const ramoops = fixtures().filter(({ backend }) => backend === 'ramoops')

t.test('every region that a kernel wrote', async t => {
  const counts = { exact: 0, best: 0, open: 0 }
  for (const fixture of ramoops) {
    const { name } = fixture
    const source = file(t, fixture.region())
    const regions = regionsIn(source)
    if (blank.has(name)) {
      t.same(regions, [], `${name}: none`)
      continue
    }
    if (regions.length !== 1) {
      t.fail(`${name}: ${regions.length} regions`)
      continue
    }
    const [region] = regions
    if (unmade.has(name)) {
      t.notOk(region.certain, `${name}: not certain`)
      continue
    }
    const right = zonesOf(region.parameters) === truth(fixture)
    if (region.certain && !right) t.fail(`${name}: wrong: ${region.options}`)
    if (region.certain) t.same(region.open, [], `${name}: nothing is open`)
    if (decided.has(name)) t.ok(region.certain && right, `${name}: certain, and right`)
    counts[region.certain ? 'exact' : right ? 'best' : 'open']++
  }
  t.comment(
    `${counts.exact} exact, ${counts.best} open with the right one first, ${counts.open} open, 0 wrong`,
  )
})

/** A sparse file with a region somewhere. */
const embed = (source: string, region: Buffer, at: number, size: number): void => {
  const fd = fs.openSync(source, 'w')
  fs.ftruncateSync(fd, size)
  fs.writeSync(fd, region, 0, region.length, at)
  fs.closeSync(fd)
}

t.test('embedded at any page, in zeros and in random bytes', async t => {
  const random = randomFor(t)
  const source = `${folder(t)}/ram.img`
  const size = 8 * M
  const noise = random.bytes(size)
  for (const fixture of ramoops) {
    const { name } = fixture
    if (blank.has(name) || unmade.has(name)) continue
    const bytes = fixture.region()
    const at = 4096 * random.between(1, Math.floor((size - bytes.length) / 4096) - 1)
    for (const noisy of [false, true]) {
      if (noisy) {
        const image = Buffer.from(noise)
        bytes.copy(image, at)
        fs.writeFileSync(source, image)
      } else embed(source, bytes, at, size)
      const where = `${name} at 0x${at.toString(16)} in ${noisy ? 'noise' : 'zeros'}`
      const [region, ...more] = regionsIn(source)
      if (!region || more.length) {
        t.fail(`${where}: ${more.length + 1} regions`)
        continue
      }
      if (region.mem_address !== at)
        t.fail(`${where}: found at 0x${region.mem_address.toString(16)}`)
      const right = zonesOf(region.parameters) === truth(fixture)
      if (region.certain && !right) t.fail(`${where}: wrong: ${region.options}`)
    }
  }
  t.pass(`${ramoops.length} fixtures`)
})
