/**
 * Where the addresses of ftrace's records are, beside a kernel's symbols: KASLR moves a kernel at each boot.
 *
 * Source: doc/formats.md 7.5; fs/pstore/ftrace.c (adjust_ip, decode_ip), include/asm/setup.h (kaslr_offset)
 * of x86 and arm64.
 */
import type { FtraceRecords } from '../pstore/ftrace.js'
import type { KernelOffset } from '../pstore/kernel-offset.js'
import { viewOf } from './ftrace-form.js'
import type { Symbols } from './kallsyms.js'

/** A number of 64 bits in halves, to be added modulo 2^64, or of 32 bits in the lower one. */
export interface Shift {
  readonly hi: number
  readonly lo: number
}

export interface Place {
  /** Are the addresses encoded? By record where they differ. */
  readonly encoded: Uint8Array | boolean
  /** From an encoded address of the kernel's image to that of the boot that the symbols are of. */
  readonly offset: Shift
  /** From an address that is not encoded to the symbols. It is shown as it is, and named by the sum. */
  readonly shift: Shift
  /** False where the symbols are of another kernel, or of another boot: names would be wrong. */
  readonly named: boolean
}

/**
 * Where 64-bit kernels are linked: x86 (__START_KERNEL), arm64 by the bits of its addresses, 48, 39, 47, 42 and 36
 * (KIMAGE_VADDR), RISC-V, LoongArch, PowerPC. The first of those that explain as much is taken.
 */
const linkedAt: readonly bigint[] = [
  0xffffffff81000000n,
  0xffff800080000000n,
  0xffffffc080000000n,
  0xffffc00080000000n,
  0xfffffe0080000000n,
  0xfffffff880000000n,
  0xffffffff80000000n,
  0x9000000000200000n,
  0xc000000000000000n,
]
/** No kernel is moved further than half of its addresses, of 48 bits at most. */
const furthest = 1n << 47n
const topBit = 1n << 63n

/** The records that are looked at, and how many functions of theirs. */
const looks = 1024
const mostFunctions = 256
/** Fewer records prove nothing. */
const telling = 32
/** A traced function is called at its start, but for what the machine does before: 36 bytes and more on PowerPC. */
const entry = 64
/** So many of the functions that have a name have to begin where they are called; by chance a third do, or fewer. */
const plausible = 1 / 2

const nowhere: Shift = { hi: 0, lo: 0 }

const shiftOf = (sum: bigint, { form }: FtraceRecords): Shift => {
  const modulo = BigInt.asUintN(8 * form.word, sum)
  return { hi: Number(modulo >> 32n), lo: Number(modulo & 0xffffffffn) }
}

/** Some of the functions that records have the addresses of, each once, from all over them. */
const functionsOf = ({ bytes, endian, form }: FtraceRecords): bigint[] => {
  const view = viewOf(bytes)
  const little = endian === 'little'
  const step = form.size * Math.max(1, Math.floor(bytes.length / form.size / looks))
  const found = new Set<bigint>()
  for (let at = 0; at < bytes.length && found.size < mostFunctions; at += step)
    found.add(form.word === 8 ? view.getBigUint64(at, little) : BigInt(view.getUint32(at, little)))
  return [...found]
}

/** How many addresses have a name, and how many are at the start of a function. */
const fit = (
  addresses: readonly bigint[],
  symbols: Symbols,
  shift: Shift,
  wide: boolean,
): { named: number; entries: number } => {
  let named = 0
  let entries = 0
  for (const address of addresses) {
    const low = Number(address & 0xffffffffn) + shift.lo
    const hi = wide ? (Number(address >> 32n) + shift.hi + (low > 0xffffffff ? 1 : 0)) >>> 0 : 0
    const distance = symbols.distance(hi, low >>> 0)
    if (distance === null) continue
    named++
    if (distance <= entry) entries++
  }
  return { named, entries }
}

/**
 * Has an address lost its top bit? On x86-64 and arm64 no address of the kernel or of a program is like that;
 * an encoding kernel makes them of modules.
 */
const hasEncoded = ({ bytes, endian, form }: FtraceRecords): boolean => {
  if (form.word === 4) return false
  const upper = endian === 'little' ? 6 : 0
  const view = viewOf(bytes)
  for (let at = upper; at < bytes.length; at += form.size)
    for (const from of [at, at + form.word])
      if (view.getUint16(from, endian === 'little') === 0x7fff && isCanonical(view, from, endian))
        return true
  return false
}

/** Is the next lower bit set, too? 7fff8…: a program's addresses have zeros above 47 bits. */
const isCanonical = (view: DataView, upper: number, endian: string): boolean =>
  (endian === 'little' ? view.getUint8(upper - 1) : view.getUint8(upper + 2)) >= 0x80

/**
 * Place records beside a kernel's symbols.
 *
 * @param offsets how far kernels that wrote the store say that they were moved
 */
export const placeOf = (
  records: FtraceRecords,
  symbols: Symbols | undefined,
  offsets: readonly KernelOffset[],
): Place => {
  const { encoded } = records
  if (!symbols)
    return {
      encoded: encoded ?? hasEncoded(records),
      offset: nowhere,
      shift: nowhere,
      named: false,
    }
  const functions = functionsOf(records)
  const wide = records.form.word === 8
  const { start } = symbols
  /** The first of those shifts that most functions fit. */
  const bestOf = (sums: readonly bigint[], of: readonly bigint[]) => {
    const [first, ...others] = sums.map(sum => {
      const shift = shiftOf(sum, records)
      return { shift, ...fit(of, symbols, shift, wide) }
    })
    return others.reduce((best, next) => (next.entries > best.entries ? next : best), first!)
  }
  const moved = linkedAt
    .filter(base => start !== null && start >= base && start - base < furthest)
    .map(base => start! - base)
  const decoded = bestOf(
    [...moved, 0n],
    functions.filter(address => address >= topBit),
  )
  const back = offsets.map(({ offset, base }) => (start ?? base) - base - offset)
  const asTheyAre = bestOf([0n, ...back], functions)
  const isWrong =
    start !== null &&
    records.bytes.length >= telling * records.form.size &&
    asTheyAre.entries < plausible * asTheyAre.named
  return {
    encoded: encoded ?? (hasEncoded(records) || decoded.entries > asTheyAre.entries),
    offset: decoded.shift,
    shift: asTheyAre.shift,
    named: !isWrong,
  }
}
