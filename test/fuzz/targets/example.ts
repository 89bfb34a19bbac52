/** For the fuzzer's own test: a bug behind three steps, which only coverage leads to one by one. */
import type { Target } from '../target.js'

export const example = (bug: () => void): Target => ({
  seeds: () => [Buffer.alloc(4)],
  longest: 8,
  run(bytes) {
    if (bytes[0] !== 0x62) return
    if (bytes[1] !== 0x75) return
    if (bytes[2] !== 0x67) return
    bug()
  },
})
