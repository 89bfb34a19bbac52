/**
 * Forms of files that hold a region, but not as bytes that are read here: each has a name, and a program that makes
 * bytes of it.
 */

/** How much of a file's start is looked at, in bytes. */
export const foreignHead = 4096

interface Binary {
  /** What it begins with, and from which byte on. */
  readonly magic: string
  readonly at?: number
  readonly says: string
}

const convert = '`qemu-img convert -O raw` makes one that can be read'
const compressedPages =
  'a dump with compressed pages: dump it as an ELF core (makedumpfile -E, dump-guest-memory without -z)'

const binaries: readonly Binary[] = [
  // makedumpfile's format and its flattened form: QEMU's dump-guest-memory -z writes it, too.
  ...['KDUMP   ', 'DISKDUMP', 'makedumpfile'].map(magic => ({ magic, says: compressedPages })),
  { magic: 'QFI\xfb', says: `is a qcow2 image: ${convert}` },
  { magic: 'KDMV', says: `is a VMDK image: ${convert}` },
  { magic: 'vhdxfile', says: `is a VHDX image: ${convert}` },
  { magic: '<<< Oracle VM VirtualBox', says: `is a VDI image: ${convert}` },
  {
    magic: ':\xff\x26\xed',
    says: 'is an Android sparse image: `simg2img FILE region.img` makes bytes of it',
  },
  { magic: 'ustar', at: 257, says: 'is a tar archive: unpack it: `tar -xf FILE`' },
  { magic: 'PK\x03\x04', says: 'is a zip archive: unpack it: `unzip FILE`' },
  { magic: "7z\xbc\xaf'\x1c", says: 'is a 7z archive: unpack it: `7z x FILE`' },
  { magic: '\x1f\x9d', says: 'is a file of compress: unpack it: `gzip -dc FILE > region.img`' },
]

interface Text {
  /** What each of its lines looks like. */
  readonly line: RegExp
  /** @param line the first two */
  readonly says: (line: string, next: string) => string
}

const addressOf = (line: string): number => parseInt(line, 16)

/** Where a dump's addresses begin, as xxd wants to have it. */
const seek = (line: string): string => {
  const address = addressOf(line)
  return address > 0 ? ` -s -0x${address.toString(16)}` : ''
}

/** How many bytes a line of xxd's or od's shows. */
const bytesIn = (line: string): number =>
  (/^\S+((?: [0-9a-f]+)+)/.exec(line)?.[1] ?? '').replaceAll(' ', '').length / 2

/** U-Boot's words have this machine's byte order, and the dump their numbers. */
const words = (bytes: number) => (line: string) =>
  `is a hex dump in words of ${bytes} bytes (U-Boot's md): \`xxd -r${seek(line)} FILE region.img\`, and where ` +
  `its machine is little-endian \`objcopy -I binary -O binary --reverse-bytes=${bytes} region.img\`, make bytes of it`

const texts: readonly Text[] = [
  {
    line: /^[0-7]{7} [0-7]{6}( [0-7]{6}){0,7}$/,
    says: () => 'is an octal dump: make it again with `xxd`, whose dumps `xxd -r` makes bytes of',
  },
  // Its own columns are four spaces apart, xxd's two.
  { line: /^[0-9a-f]{8,16}: [0-9a-f]{8}( [0-9a-f]{8}){0,3} {4}/, says: words(4) },
  { line: /^[0-9a-f]{8,16}: [0-9a-f]{4}( [0-9a-f]{4}){0,7} {4}/, says: words(2) },
  {
    line: /^[0-9a-f]{6,16}:? [0-9a-f]{2}([0-9a-f]{2})*( [0-9a-f]{2,8}){0,15}( {2,}|$)/,
    says: (line, next) => {
      // od's addresses are octal, or decimal, where it is not asked for others.
      const isHex = addressOf(next) === addressOf(line) + bytesIn(line)
      if (isHex && (line.includes(':') || /^\S+ [0-9a-f]{2}( |$)/.test(line)))
        return `is a hex dump: \`xxd -r${seek(line)} FILE region.img\` makes bytes of it`
      return 'is a hex dump: make it again with `xxd`, whose dumps `xxd -r` makes bytes of'
    },
  },
  {
    line: /^[0-9a-f]{8,16} {2}[0-9a-f]{2}( {1,2}[0-9a-f]{2}){0,15} *\|/,
    says: () =>
      "is a hex dump (hexdump -C): `sed 's/|.*//; s/  */ /g' FILE | xxd -r - region.img` makes bytes of it",
  },
  {
    line: /^:[0-9a-f]{10,}$/i,
    says: () =>
      'is an Intel HEX file: `objcopy -I ihex -O binary FILE region.img` makes bytes of it',
  },
  {
    line: /^S[0-9][0-9a-f]{8,}$/i,
    says: () =>
      'is a Motorola S-record file: `objcopy -I srec -O binary FILE region.img` makes bytes of it',
  },
  {
    line: /^([0-9a-f]{2}){30,40}$/,
    says: () => 'is a plain hex dump: `xxd -r -p FILE region.img` makes bytes of it',
  },
  {
    line: /^([a-z0-9+/]{4}){15,19}$/i,
    says: () => 'is base64: `base64 -d FILE > region.img` makes bytes of it',
  },
]

/** Lines before a dump: a prompt, the command. */
const mostBefore = 4

/** What AWS's blob of EFI variables begins with, which is base64 as well: AMZNUEFI. */
const blob = 'QU1aTlVFRk'

/** A device tree's source, perhaps behind comments. */
const isTreeSource = (text: string): boolean =>
  /^(?:\s|\/\*(?:[^*]|\*(?!\/))*\*\/|\/\/[^\n]*\n|#[^\n]*\n)*\/dts-v1\/\s*;/.test(text)

/** Two lines of a form in a row say that it is one: a shorter last line may look otherwise. */
const textForm = (text: string): string | null => {
  if (isTreeSource(text))
    return 'is the source of a device tree: `dtc -I dts -O dtb -o FILE.dtb FILE` compiles it'
  const lines = text.split(/\r?\n/)
  for (let i = 0; i <= mostBefore; i++) {
    const [first = '', second = ''] = lines.slice(i)
    // The first line is no data, and in mails there is a header before it.
    if (/^begin(-base64)? [0-7]{3,4} \S/.test(first))
      return 'is uuencoded: `uudecode -o region.img FILE` makes bytes of it (Debian: sharutils)'
    const form = texts.find(({ line }) => line.test(first) && line.test(second))
    if (form) return form.says(first, second)
  }
  return null
}

/**
 * Is a file one of these forms?
 *
 * @param head its first {@link foreignHead} bytes, or all of it
 * @returns a line without its path, which says the form and what to do; null where it is none
 */
export const foreignForm = (head: Buffer): string | null => {
  const text = head.toString('latin1', 0, foreignHead)
  const known = binaries.find(({ magic, at = 0 }) => text.startsWith(magic, at))
  return known ? known.says : text.includes('\0') || text.startsWith(blob) ? null : textForm(text)
}
