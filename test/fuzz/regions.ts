/** What holds of every region that is found or described, whatever in. */
import assert from 'node:assert/strict'
import { probeSource, type FoundRegion } from '#src/index.js'

const sizes = [
  'mem_address',
  'mem_size',
  'record_size',
  'console_size',
  'ftrace_size',
  'pmsg_size',
  'tty_size',
  'ecc',
  'cpus',
] as const

/** Bytes that are said of all regions. */
const mostSaid = 2 ** 20

/** Look for regions in a file, and check what is said of them. */
export const checkRegions = (path: string): FoundRegion[] => {
  const { regions, notes } = probeSource(path)
  const said = JSON.stringify({ regions, notes })
  assert.ok(said.length <= mostSaid, `${said.length} bytes are said`)
  for (const region of regions) {
    for (const size of sizes) assert.ok(region[size] >= 0 && Number.isFinite(region[size]), size)
    // What is said is printed: nothing of the source may reach a terminal as it is.
    // oxlint-disable-next-line no-control-regex -- controls are what is looked for
    for (const line of region.evidence) assert.doesNotMatch(line, /[\0-\x1f\x7f-\x9f]/)
    assert.match(region.options, /^[A-Za-z0-9 ._-]+$/)
  }
  return regions
}
