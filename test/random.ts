/** Random input that can be had again: the seed is printed when a test fails, and SEED=n reruns it. */
import type { Test } from 'tap'

export class Random {
  #state: number
  constructor(readonly seed: number) {
    this.#state = seed >>> 0
  }
  /** 0 … n − 1 (mulberry32). */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let x = this.#state
    x = Math.imul(x ^ (x >>> 15), x | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 2 ** 32) * n)
  }
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]
  }
  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }
}

/** Randomness for a test; says its seed where the test fails. */
export const randomFor = (t: Test): Random => {
  const random = new Random(Number(process.env.SEED ?? Date.now() % 2 ** 31))
  t.teardown(() => {
    // No comment and no line on stderr: the reporter that scripts/test asks for leaves them out.
    if (!t.passing()) t.parent?.fail(`${t.name}: SEED=${random.seed} reruns this`)
  })
  return random
}
