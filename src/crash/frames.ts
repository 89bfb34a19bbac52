/** The frames of call traces, as each architecture's dump_stack and show_regs print them: doc/formats.md 11. */

/** A function in a call trace. */
export interface Frame {
  /** As printed: `foo.isra.0`. */
  readonly name: string
  /** Bytes into the function; null where the line does not tell. */
  readonly offset: number | null
  /** False for an address that was merely found on the stack: `? foo+0x1/0x2`. */
  readonly reliable: boolean
  /** Whether it is where the CPU stood (`RIP:`, `pc :`), to where it would return (`lr :`), or a call. */
  readonly role: 'pointer' | 'return' | 'call'
}

/**
 * What stands before the instruction pointer's symbol: x86, arm64 and arm, riscv and mips, powerpc, s390, loongarch;
 * sparc64; parisc.
 */
const pointer =
  /^(?:(?:RIP|EIP|IP|PC|pc|NIP|epc|era|pc is at|PC is at|EIP is at|rIP)\b *:? *|Krnl PSW : [0-9a-f ]*\(|TPC: <|IAOQ\[0\]: *)(?:[0-9a-f]{4}: *)?$/i
/** … and before the return address's. */
const link = /^(?:(?:LR|lr|ra|LR is at|lr is at|ra is at)\b *:? *|(?:RPC|I7): <|RP\(r2\): *)$/i
/** … and before a call's: `? `, `(`, sparc64's `Caller[0000000000481ad0]: `. */
const caller = /^(?:\?|\(|\? \(|Caller:)?$/
/** Addresses and marks that are no part of a frame: `[<ffffffff810>]`, `[c0001] [c0002]`, `<IRQ>`, `([<0001>]`, s390's hidden ones. */
const decoration =
  /\(?\[<[^<>\]]{0,40}>\]\)?|\[[0-9a-f]{8,16}\]|<{1,2}\/?[A-Z]{3,12}>{1,2}|\(____ptrval____\)|\b[0-9a-f]{8,16}\b/g

/** A function and its place in the source, without an offset: a trace that a symbolizer wrote. */
const sourced =
  /^(\? )?([A-Za-z_][\w.$]{0,255}) (?:\.\/)?[\w/.,+-]{1,200}\.[chSs]:\d{1,7}(?: \[inline\])?$/
/** ARM's line of two functions: `(foo) from (bar+0x1/0x2)`. */
const from = /^\(?([A-Za-z_][\w.$]{0,255})\)? from +\(?[\w.<]/
/** A frame that Linux's decode_stacktrace.sh read: `RIP: 0010:foo (kernel/foo.c:12 kernel/foo.c:30)`. */
const decoded =
  /^([^()]{0,24}?)([A-Za-z_][\w.$]{0,255}) \((?:\.\/)?[\w/.,+-]{1,200}\.[chSs]:\d{1,7}[ )]/

/** The characters of a symbol. */
const symbol = /[\w.$]/
/** No symbol: a number. */
const number = /^\.*(?:\d|$)/
/** 64-bit powerpc before 2014 has a dot before a function's name. */
const withoutDot = (name: string): string => name.replace(/^\./, '')

/** The start of the symbol that ends before `end`. A Rust symbol has spaces: `<A as B>::f`. */
const symbolStart = (text: string, end: number): number => {
  let start = end
  const least = Math.max(0, end - 256)
  while (start > least && symbol.test(text[start - 1]!)) start--
  if (!text.startsWith('::', start - 2)) return start
  const generic = text.indexOf('<')
  if (generic >= 0 && generic < start) return generic
  while (start > least && /[\w:$.]/.test(text[start - 1]!)) start--
  return start
}

/** What a frame is by what stands before its symbol; null where it is none. */
const roleOf = (before: string): Frame['role'] | null =>
  pointer.test(before)
    ? 'pointer'
    : link.test(before)
      ? 'return'
      : caller.test(before)
        ? 'call'
        : null

/** A frame that a line holds, and on ARM its caller too; none where it is no line of a trace. */
export const parseFrames = (text: string): Frame[] => {
  const plain = text.replace(decoration, '').trim()
  const inline = sourced.exec(plain)
  if (inline) return [{ name: inline[2]!, offset: null, reliable: !inline[1], role: 'call' }]
  const named = decoded.exec(plain)
  if (named) {
    const role = roleOf(named[1]!.trim())
    return role ? [{ name: named[2]!, offset: null, reliable: !named[1]!.includes('?'), role }] : []
  }
  const pair = from.exec(plain)
  const at = plain.indexOf('+0x')
  const start = at < 0 ? -1 : symbolStart(plain, at)
  const offset = at < 0 ? NaN : Number.parseInt(plain.slice(at + 3, at + 15), 16)
  const callee: Frame[] = pair
    ? [{ name: pair[1]!, offset: null, reliable: true, role: 'call' }]
    : []
  if (at < 0 || Number.isNaN(offset) || number.test(plain.slice(start, at))) return callee
  const before = pair ? '' : plain.slice(0, start).trim()
  const role = roleOf(before)
  if (role === null) return callee
  // s390 brackets what it merely found: arch/s390/kernel/dumpstack.c, show_address.
  const unreliable =
    before.startsWith('?') || plain.endsWith('(unreliable)') || /^\(\[<.*\)$/.test(text.trim())
  const name = withoutDot(plain.slice(start, at))
  return [...callee, { name, offset, reliable: !unreliable, role }]
}

/** The first symbol with an offset anywhere in a line: `… at: foo+0x1/0x2`; null where there is none. */
export const symbolIn = (text: string): string | null => {
  for (let at = text.indexOf('+0x'); at >= 0; at = text.indexOf('+0x', at + 3)) {
    const start = symbolStart(text, at)
    if (!number.test(text.slice(start, at))) return withoutDot(text.slice(start, at))
  }
  return null
}

/** Compilers' suffixes: a part of a function, or one of its copies. */
const suffix = /\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias|exit|\d).*$/
/** What SYSCALL_DEFINE puts before a system call's name, which goes: include/linux/syscalls.h; `__x64_sys_f` stays `sys_f`. */
const wrapper =
  /^(?:__[a-z0-9]{3,9}_(?=(?:compat_)?sys_)|__(?:se|do)_(?:compat_)?sys_|(?:compat_)?S[yY][sS][cC]?_)/

/** A frame's name in a title: without compilers' suffixes and the wrappers of system calls; C++ names are read. */
export const plainName = (name: string): string => {
  const mangled = /^_Z(\d{1,3})/.exec(name)
  if (mangled) return name.slice(mangled[0].length).slice(0, Number(mangled[1])) || name
  const bare = name.replace(suffix, '')
  return bare.replace(wrapper, '') || bare
}
