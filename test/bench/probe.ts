/** Searching a dump of RAM for regions, against reading it; and how many regions are found out how well. */
import { execFileSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import { probeSource } from '#src/index.js'
import { makeLayout, type RamoopsParameters } from '#src/backends/ramoops/layout.js'
import { fixtures, type Fixture } from '../fixtures.js'
import { program } from '../program.js'
import { inMemory, inTurns, print } from './measure.js'

const G = 2 ** 30

/** Write a file in one go of a chunk each. */
const fill = (file: string, size: number, chunk: () => Buffer): void => {
  const fd = fs.openSync(file, 'w')
  for (let at = 0; at < size;) at += fs.writeSync(fd, chunk())
  fs.closeSync(fd)
}

const zonesOf = (parameters: RamoopsParameters): string => {
  try {
    const { zones, ecc } = makeLayout(parameters, 0)
    return `${zones.map(({ kind, offset, size }) => `${kind}@${offset}+${size}`).join()} ${ecc}`
  } catch {
    return 'refused'
  }
}

/** Put each fixture somewhere in a file, and count what is said of it. */
const embedAll = (file: string, all: readonly Fixture[]): string => {
  const counts: { [verdict: string]: number } = {}
  const fd = fs.openSync(file, 'r+')
  for (const fixture of all) {
    const region = fixture.region()
    const pages = (fs.fstatSync(fd).size - region.length) / 4096 - 1
    const at = 4096 * Math.floor(1 + Math.random() * pages)
    const before = Buffer.alloc(region.length)
    fs.readSync(fd, before, 0, before.length, at)
    fs.writeSync(fd, region, 0, region.length, at)
    const { regions } = probeSource(file)
    const [found] = regions
    const right = found && zonesOf(found.parameters) === zonesOf(fixture.layout)
    const verdict = !found
      ? 'none'
      : regions.length > 1 || found.mem_address !== at
        ? 'misplaced'
        : found.certain
          ? right
            ? 'exact'
            : `certain of another layout (${fixture.name})`
          : right
            ? 'open, the right one first'
            : 'open'
    counts[verdict] = (counts[verdict] ?? 0) + 1
    fs.writeSync(fd, before, 0, before.length, at)
  }
  fs.closeSync(fd)
  return Object.entries(counts)
    .map(([verdict, count]) => `${count} ${verdict}`)
    .join(', ')
}

export const benchProbe = (): Promise<void> =>
  inMemory(async folder => {
    const all = fixtures().filter(({ backend }) => backend === 'ramoops')
    const noise = Buffer.alloc(2 ** 24)
    for (const [what, size, chunk] of [
      ['1 GiB of zeros', G, () => noise],
      ['1 GiB of random bytes', G, () => randomFillSync(noise)],
      ['4 GiB of random bytes', 4 * G, () => randomFillSync(noise)],
    ] as const) {
      const file = `${folder}/ram.img`
      fill(file, size, chunk)
      const [searched, read] = await inTurns(
        () => execFileSync(process.execPath, [program, 'probe', file]),
        () => execFileSync('sh', ['-c', `cat ${file} | cat >/dev/null`]),
      )
      print(
        `probe ${what}`,
        `${(size / 1e6 / searched).toFixed(1)} GB/s (goal 1), ${(searched / read).toFixed(1)} × ` +
          `the time of \`cat | cat\` (${(size / 1e6 / read).toFixed(1)} GB/s); ` +
          `${probeSource(file).regions.length} regions`,
      )
      if (size === G) print(`  ${all.length} fixtures in it`, embedAll(file, all))
      fs.rmSync(file)
    }
  })
