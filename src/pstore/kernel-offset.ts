/**
 * How far a kernel was moved from where it was linked (KASLR), as the log of its panic says.
 *
 * Source: doc/formats.md 7.5; arch/x86/kernel/setup.c (dump_kernel_offset), arch/arm64/kernel/setup.c.
 */
import { assertStoreError } from './errors.js'

export interface KernelOffset {
  readonly offset: bigint
  /** Where it was linked. */
  readonly base: bigint
}

const line = /Kernel Offset: 0x([0-9a-f]{1,16}) from 0x([0-9a-f]{1,16})\b/g

/** What the lines of a text say; usually there is one, or none. */
export const kernelOffsetsIn = (text: Buffer): KernelOffset[] =>
  Array.from(text.toString('latin1').matchAll(line), ([, offset, base]) => ({
    offset: BigInt(`0x${offset}`),
    base: BigInt(`0x${base}`),
  }))

/** So many answers are kept. */
const mostOffsets = 8

/**
 * What some logs say together.
 *
 * @param textOf may throw a StoreError (EIO): that log's own file says what is wrong with it
 */
export const kernelOffsetsOf = <Log>(
  logs: Iterable<Log>,
  textOf: (log: Log) => Buffer | undefined,
): KernelOffset[] => {
  const found: KernelOffset[] = []
  for (const log of logs)
    try {
      found.push(...kernelOffsetsIn(textOf(log) ?? Buffer.alloc(0)))
    } catch (error) {
      assertStoreError(error)
    }
  return found.slice(0, mostOffsets)
}
