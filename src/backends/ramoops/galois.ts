/**
 * The field GF(256) of a zone's parity.
 *
 * Source: fs/pstore/ram_core.c (persistent_ram_init_ecc: field polynomial 0x11d), lib/reed_solomon.
 */

const fieldPolynomial = 0x11d
/** Nonzero elements of the field: its generator's powers repeat after so many. */
export const order = 255
/** The logarithm of 0: with any other it makes a sum beyond those of two powers. */
export const logZero = 2 * order
/** The generator's powers, twice, so that a sum of two logarithms needs no modulo; beyond that, zeros. */
export const exp = new Uint8Array(2 * logZero + 1)
/** The power that each element is. */
export const log = new Uint16Array(256).fill(logZero, 0, 1)
for (let power = 0, x = 1; power < order; power++) {
  exp[power] = exp[power + order] = x
  log[x] = power
  x <<= 1
  if (x > 255) x ^= fieldPolynomial
}

/** The product of two elements. */
export const multiply = (a: number, b: number): number => exp[log[a]! + log[b]!]!
