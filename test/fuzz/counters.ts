/** What an execution ran, statement by statement and branch by branch, and whether that is new. */

/** What istanbul's code counts for a module: statements, and each branch's ways. */
interface ModuleCounts {
  s: { [statement: string]: number } | Uint32Array
  b: { [branch: string]: ArrayLike<number> }
}

/** How often something ran, roughly: a bit for each of eight ranges. */
const bucket = (count: number): number =>
  count < 4
    ? 1 << (count - 1)
    : count < 32
      ? 1 << (30 - Math.clz32(count) + 1)
      : count < 128
        ? 64
        : 128

export class Counters {
  readonly #counts: Uint32Array
  /** The buckets that each counter has been in. */
  readonly #seen: Uint8Array
  reached = 0
  /** How much the last execution ran. Times differ from run to run, this does not. */
  cost = 0

  /** Modules that are loaded later are not counted. */
  constructor() {
    const modules = Object.values(
      (globalThis as { __coverage__?: { [path: string]: ModuleCounts } }).__coverage__ ?? {},
    )
    const size = ({ s, b }: ModuleCounts): number =>
      Object.values(b).reduce((sum, ways) => sum + ways.length, Object.keys(s).length)
    this.#counts = new Uint32Array(modules.reduce((sum, module) => sum + size(module), 0))
    this.#seen = new Uint8Array(this.#counts.length)
    // The code counts in whatever stands there: parts of one array can be read, and set to 0, at once.
    let at = 0
    const take = (length: number): Uint32Array => this.#counts.subarray(at, (at += length))
    for (const module of modules) {
      module.s = take(Object.keys(module.s).length)
      for (const [branch, ways] of Object.entries(module.b)) module.b[branch] = take(ways.length)
    }
  }

  get total(): number {
    return this.#counts.length
  }

  /** Before an execution. */
  reset(): void {
    this.#counts.fill(0)
  }

  /** After it: did anything run that never did, or as often as it never did? */
  isNew(): boolean {
    let found = false
    this.cost = 0
    const counts = this.#counts
    const seen = this.#seen
    for (let i = 0; i < counts.length; i++) {
      if (counts[i] === 0) continue
      this.cost += counts[i]
      const bit = bucket(counts[i])
      if (seen[i] & bit) continue
      if (seen[i] === 0) this.reached++
      seen[i] |= bit
      found = true
    }
    return found
  }
}
