/** A kernel's functions as its backtraces name them. Source: lib/vsprintf.c (symbol_string), kernel/kallsyms.c. */
import type { Symbols } from './kallsyms.js'

export class FrameNames {
  readonly start: bigint | null

  constructor(readonly symbols: Symbols) {
    this.start = symbols.start
  }

  /**
   * `%pS` of a place in code, without a module; null where no function is known. Of where a call returns to it is `%pB`
   * (sprint_backtrace): the call is before that, and may be the last of its function.
   */
  frame(address: bigint, returns: boolean): string | null {
    const back = returns ? 1n : 0n
    const place = BigInt.asUintN(64, address - back)
    const [hi, lo] = [Number(place >> 32n), Number(place & 0xffff_ffffn)]
    const shown = this.symbols.isFunction(hi, lo) ? this.symbols.nameAndOffset(hi, lo) : null
    return (
      shown &&
      shown
        .replace(/ \[.*$/, '')
        .replace(
          /\+0x([\da-f]+)/,
          (_, offset) => `+0x${(BigInt(`0x${offset}`) + back).toString(16)}`,
        )
    )
  }
}
