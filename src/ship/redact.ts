/**
 * Takes out of a crash what names machines and networks: MAC and IP addresses, host names, and the values of the
 * kernel's command line. What is left in their place is `<mac>`, `<ip>`, `<host>` and `NAME=…`.
 *
 * Text is any bytes, taken as Latin-1, so that what is no UTF-8 stays what it was. Each expression below begins at
 * the start of a run only, and reads it once: the time is linear.
 */
import net from 'node:net'

/** `…` in UTF-8, as Latin-1 has its bytes. */
const ellipsis = '\xe2\x80\xa6'

/** Pairs of hex digits with one separator; not the end of a longer row. */
const pairs =
  /(?<!\w)(?<!(?<!\w)[\da-f]{2}[:-])[\da-f]{2}([:-])(?:[\da-f]{2}\1)*[\da-f]{2}(?![\da-f]|[:-][\da-f])/gi
/** How many make an address: of Ethernet, EUI-64 and FireWire, netfilter's log, InfiniBand. Other rows are keys and dumps. */
const addressPairs = new Set([6, 8, 14, 20])

/** Four numbers that belong to no longer word: not `v1.2.3.4`, `linux-6.1.0.1`, `6.1.0.1-amd64`. */
const quads = /(?<![\w.])(?<![a-z_]-)\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d|-[a-z])/gi
/** What four numbers are where one of these stands before them. */
const versionBefore = /\b(?:version|ver\.?|rev\.?|revision|firmware|bios|release|microcode)[ :=]*$/i
/** Characters before a number in which such a word is looked for. */
const wordReach = 16

/** Words with two colons or more. */
const colons = /(?<![\w:.])[\w.]*(?::[\w.]*){2,}/g
/** `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`, and a colon or full stop of the sentence. */
const longestIpv6 = 46

/** What follows is the kernel's command line, or what of it the kernel does not know. */
const commandLine = /(\bcommand line(?:: | parameters ))([^\n]*)/gi
/** Its words: blanks in quotes end none. */
const words = /(?:"[^"]*(?:"|$)|[^\s"])+/g
/** What may be one of its words elsewhere: an environment has them, too. */
const assignment = /(?<![\w.+:-])([\w.+:-]{1,128})=([^\s"]+)/g

/** Where a log tells the name of its machine. */
const namings: readonly RegExp[] = [
  /\b(?:Set hostname to|Hostname set to) <([\w.-]{1,64})>/g,
  /\bhostname=([\w.-]{1,64})/g,
  // getty's, and syslog's.
  /^([\w.-]{1,64}) login: /gm,
  /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ([\w.-]{1,64}) [\w./-]{1,64}(?:\[\d{1,10}\])?: /gm,
]
/** Names that are believed of a crash, and words that are remembered of its command lines: a guest may tell more. */
const mostNames = 32
const mostWords = 4096
/** Names of any machine. */
const anybody = new Set(['localhost', 'localhost.localdomain', 'none'])

const withoutMacs = (text: string): string =>
  text.replace(pairs, row => (addressPairs.has((row.length + 1) / 3) ? '<mac>' : row))

const withoutIpv4 = (text: string): string =>
  text.replace(quads, (quad: string, at: number) =>
    quad.split('.').some(octet => Number(octet) > 255) ||
    versionBefore.test(text.slice(Math.max(0, at - wordReach), at))
      ? quad
      : '<ip>',
  )

/** `dead::beef` may be a name in C++; an address of letters alone is rare. */
const isIpv6 = (word: string): boolean =>
  word.length <= longestIpv6 && /\d/.test(word) && net.isIPv6(word)

const withoutIpv6 = (text: string): string =>
  text.replace(colons, word => {
    // `addr:fe80::1`
    const colon = word.indexOf(':')
    const isLabelled = /[g-z_]/i.test(word.slice(0, colon)) && word[colon + 1] !== ':'
    const head = isLabelled ? word.slice(0, colon + 1) : ''
    const rest = word.slice(head.length)
    if (isIpv6(rest)) return `${head}<ip>`
    return isIpv6(rest.slice(0, -1)) ? `${head}<ip>${rest.at(-1)}` : word
  })

const escaped = (name: string): string => name.replaceAll(/[.\\*+?^${}()|[\]]/g, '\\$&')

/** Bytes that are looked at together: a text may be longer than any string. */
const longestLook = 2 ** 20

/** A text in pieces that end with a line's end, where there is one. */
function* looksAt(bytes: Buffer): Generator<string, void, void> {
  for (let from = 0; from < bytes.length;) {
    const most = from + longestLook
    const line = most < bytes.length ? bytes.lastIndexOf('\n', most - 1) + 1 : bytes.length
    const to = line > from ? line : most
    yield bytes.toString('latin1', from, to)
    from = to
  }
}

/** What is taken out of one crash. */
export class Redaction {
  readonly #names = new Set<string>()
  /** The command lines' words, `NAME=VALUE`. */
  readonly #words = new Set<string>()
  #pattern: RegExp | null = null

  /** @param hosts the names of the machine that archived the crash */
  constructor(hosts: readonly string[]) {
    for (const host of hosts) {
      this.#name(host)
      this.#name(host.split('.')[0]!)
    }
  }

  #name(name: string): void {
    if (name === '' || anybody.has(name.toLowerCase()) || this.#names.size >= mostNames) return
    this.#names.add(name)
    this.#pattern = null
  }

  /** Look for names and command lines in a text. What one text of a crash tells is taken out of all of them. */
  learn(bytes: Buffer): void {
    for (const text of looksAt(bytes)) {
      for (const naming of namings)
        for (const [, name = ''] of text.matchAll(naming)) {
          if (this.#names.size >= mostNames) break
          this.#name(name)
        }
      for (const [, , line = ''] of text.matchAll(commandLine))
        for (const [word] of line.matchAll(words)) {
          if (this.#words.size >= mostWords) break
          if (word.indexOf('=') > 0) this.#words.add(word)
          // `root=UUID=…`, of which a panic says the value alone.
          const value = word.slice(word.indexOf('=') + 1)
          if (value.indexOf('=') > 0) this.#words.add(value)
        }
    }
  }

  /** A text without what was learnt, and without addresses. */
  text(bytes: Buffer): Buffer {
    return Buffer.concat(
      [...looksAt(bytes)].map(text => {
        const left = withoutIpv4(withoutIpv6(withoutMacs(this.#withoutValues(text))))
        return Buffer.from(this.#withoutNames(left), 'latin1')
      }),
    )
  }

  /** The same of a line of text. */
  line(text: string): string {
    return this.text(Buffer.from(text)).toString()
  }

  #withoutValues(text: string): string {
    const without = text.replace(
      commandLine,
      (_, head: string, line: string) =>
        head +
        line.replace(words, word => {
          const equals = word.indexOf('=')
          return equals > 0 ? `${word.slice(0, equals).replace('"', '')}=${ellipsis}` : word
        }),
    )
    return this.#words.size === 0
      ? without
      : without.replace(assignment, (word: string, name: string) =>
          this.#words.has(word) ? `${name}=${ellipsis}` : word,
        )
  }

  #withoutNames(text: string): string {
    if (this.#names.size === 0) return text
    this.#pattern ??= new RegExp(
      `(?<![\\w-])(?:${[...this.#names]
        .toSorted((a, b) => b.length - a.length)
        .map(escaped)
        .join('|')})(?![\\w-])`,
      'gi',
    )
    return text.replace(this.#pattern, '<host>')
  }
}
