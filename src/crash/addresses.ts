/**
 * Raw addresses in reports, named by a kernel's symbols: kernels without CONFIG_KALLSYMS print no others. Where KASLR
 * moved the kernel, its log says by how far when it panics (arch/x86/kernel/setup.c, dump_kernel_offset).
 *
 * Sources: lib/vsprintf.c (symbol_string: `0x%lx` where no name is known), arch/x86/kernel/dumpstack.c,
 * arch/arm/kernel/traps.c (dump_backtrace_entry), arch/arm/kernel/process.c and arch/arm64/kernel/process.c
 * (__show_regs).
 */
import { kernelOffsetsIn } from '../pstore/kernel-offset.js'
import { plainName } from './frames.js'
import { longestLine, parseLine } from './lines.js'

/** A kernel's symbols. */
export interface FunctionNames {
  /** Where the kernel's image starts; null where that is not known. */
  readonly start: bigint | null
  /** `name+0xOFFSET/0xSIZE`; null where no function is known. `returns`: a call returns there. */
  frame(address: bigint, returns: boolean): string | null
}

/** A text with names in it. */
export interface NamedText {
  /** The same text where none was named. */
  readonly text: Buffer
  /** How many addresses have a name now. */
  readonly count: number
  /** What speaks against the names, in a line; null: nothing. */
  readonly doubt: string | null
}

/** An address, where its name goes. */
interface Place {
  /** The characters that give way to the name, in the line. */
  readonly from: number
  readonly to: number
  readonly address: bigint
  readonly returns: boolean
  /** What is put around the name, which is `{}`; of `{f}` the function alone is meant. */
  readonly form: string
}

const hex = '[0-9a-f]{8,16}'
/** A call of x86 or arm64: `[<address>] ? 0xaddress`, with or without brackets. */
const call = new RegExp(String.raw`^(?:<[A-Z]+> +)?(\(?\[<${hex}>\]\)? *)?(?:\? +)?(0x${hex})$`)
/** A call without even that: `[<address>]`, `[<address>] ?`. */
const bare = new RegExp(String.raw`^(?:\? )?\[<(${hex})>\](?: \?)?$`)
/** Two of ARM: `[<a>] (0xa) from [<b>] (0xb)`, `0xa from 0xb`; and without kallsyms. */
const pair = new RegExp(
  String.raw`^(?:\[<${hex}>\] )?\(?(0x${hex})\)? from (?:\[<${hex}>\] )?\(?(0x${hex})\)?$`,
)
const entered = new RegExp(String.raw`^Function entered at \[<(${hex})>\] from \[<(${hex})>\]`)
/** Where the CPU stood, and to where it returns. */
const register = new RegExp(
  String.raw`\b(?:R?IP|EIP|PC|pc|epc|LR|lr|ra)(?: is at | *: *)(?:[0-9a-f]{4}:)?((?:\[<${hex}>\] *)*)(0x${hex})?(?! *[A-Za-z_][\w.]*\+0x)`,
  'g',
)
const returning = /^(?:LR|lr|ra)\b/
/** `[<address>] ? name+0x1/0x2`: what the kernel itself called a place. */
const known = new RegExp(
  String.raw`\[<(${hex})>\] +(?:\? |\()?([A-Za-z_][\w.$]{0,255})\+0x[0-9a-f]+\/0x`,
)
/** Kernels that print where they stood by name or number say the number once more in brackets. */
const standsAt = /\b(?:PC|pc|EIP) is at /

const bits32 = 0xffff_ffffn
/** The least address of a 32-bit kernel: CONFIG_VMSPLIT_1G. */
const least32 = 0x4000_0000n
const top64 = 1n << 63n
/** Kernels are moved in steps of this, and begin less than this behind where they are linked. */
const moveBits = 21n
/** More of the addresses have to be in functions, and more names the kernel's own. */
const enough = 1 / 2

const numberOf = (digits: string): bigint => BigInt(`0x${digits.replace(/^0x/, '')}`)

/** The addresses without a name in a line of a report. */
const placesIn = (text: string, isTwice: boolean): Place[] => {
  const place = (
    from: number,
    shown: string,
    digits: string,
    returns: boolean,
    form: string,
  ): Place => ({ from, to: from + shown.length, address: numberOf(digits), returns, form })
  const one = call.exec(text)
  if (one) {
    const at = text.length - one[2]!.length
    return [place(at, one[2]!, one[2]!, true, one[1] ? '{}' : `{} (${one[2]})`)]
  }
  const alone = bare.exec(text)
  if (alone) {
    const at = text.indexOf(']') + 1
    const found = text.endsWith(' ?')
    return [place(at, text.slice(at), alone[1]!, true, found ? ' ? {}' : ' {}')]
  }
  const two = pair.exec(text) ?? entered.exec(text)
  if (two) {
    const [callee, caller] = [two[1]!, two[2]!]
    const second = text.lastIndexOf(caller)
    if (text.startsWith('0x') || text.startsWith('(') || text.startsWith('['))
      return [
        place(text.indexOf(callee), callee, callee, true, '{f}'),
        place(second, caller, caller, true, '{}'),
      ]
    const end = text.indexOf(']') + 1
    return [
      place(0, text.slice(0, end), callee, true, `[<${callee}>] ({f})`),
      place(second - 2, `[<${caller}>]`, caller, true, `[<${caller}>] ({})`),
    ]
  }
  return Array.from(text.matchAll(register)).flatMap((found): Place[] => {
    const [whole, brackets, plain] = found
    const end = found.index + whole.length
    const returns = returning.test(whole)
    if (plain !== undefined)
      return [place(end - plain.length, plain, plain, returns, brackets ? '{}' : `{} (${plain})`)]
    const digits = /\[<([0-9a-f]+)>\] *$/.exec(brackets!)?.[1]
    if (digits === undefined || isTwice) return []
    const at = found.index + whole.lastIndexOf(']') + 1
    return [place(at, '', digits, returns, ' {}')]
  })
}

/** By how far an address is beside the symbols: the kernel's and the symbols' may both have been moved. */
const shiftOf = (said: Buffer, { start }: FunctionNames): bigint | null => {
  const offset = kernelOffsetsIn(said).at(-1)
  if (!offset) return said.includes('Kernel Offset: disabled') ? 0n : null
  const moved = start === null ? 0n : ((start - offset.base) >> moveBits) << moveBits
  return moved - offset.offset
}

/**
 * Name the addresses of a kernel's code in a log. Those of programs, hidden ones (`%pK`) and those of unknown code stay
 * as they are; where most are of unknown code, or the log's own names are others, all do. Time and memory are linear.
 *
 * @param said a text of the same life that may say where the kernel was moved to
 */
export const nameAddresses = (text: Buffer, names: FunctionNames, said: Buffer): NamedText => {
  const shift = shiftOf(said, names)
  const { start } = names
  /** Of 64 bits; where the symbols do not tell, an address does. */
  const isWide = start === null || start > bits32
  const isKernel = (address: bigint): boolean =>
    address > bits32
      ? isWide && address >= top64
      : (start === null || !isWide) && address >= least32
  const frameAt = (address: bigint, returns: boolean): string | null =>
    names.frame(address + (shift ?? 0n), returns)
  const nameOf = (frame: string | null): string | undefined => frame?.slice(0, frame.indexOf('+0x'))

  const lines = text.toString('latin1').split('\n')
  const isTwice = lines.some(line => standsAt.test(line))
  const total = { places: 0, named: 0, known: 0, agree: 0 }
  const named = lines.map(line => {
    const told = parseLine(line).text.trimStart()
    const own = known.exec(told)
    if (own && isKernel(numberOf(own[1]!))) {
      total.known++
      const found = nameOf(frameAt(numberOf(own[1]!), true))
      if (found !== undefined && plainName(found) === plainName(own[2]!)) total.agree++
    }
    const at = told === '' || line.length > longestLine ? -1 : line.lastIndexOf(told)
    const places = at < 0 ? [] : placesIn(told, isTwice)
    return places.reduceRight((rest, { from, to, address, returns, form }) => {
      if (!isKernel(address)) return rest
      total.places++
      const frame = frameAt(address, returns)
      if (frame === null) return rest
      total.named++
      const shown = form.replace(/\{(f?)\}/, (_, alone) => (alone ? nameOf(frame)! : frame))
      return rest.slice(0, at + from) + shown + rest.slice(at + to)
    }, line)
  })
  const isOther =
    total.known > 0 ? total.agree < enough * total.known : total.named < enough * total.places
  if (isOther && total.places > 0) {
    const moved =
      shift === null && isWide
        ? ", or this one was moved (KASLR) and its log does not say by how far: give that boot's /proc/kallsyms"
        : ''
    return {
      text,
      count: 0,
      doubt: `the symbols are of another kernel${moved}; addresses are left as they are`,
    }
  }
  const isGuess = total.named > 0 && shift === null && isWide && total.known === 0
  return {
    text: total.named > 0 ? Buffer.from(named.join('\n'), 'latin1') : text,
    count: total.named,
    doubt: isGuess
      ? "the log has no Kernel Offset: names are right where the kernel was not moved, or with that boot's /proc/kallsyms"
      : null,
  }
}
