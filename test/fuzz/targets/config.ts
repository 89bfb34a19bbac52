/** The config file. */
import assert from 'node:assert/strict'
import { parseConfig } from '#src/cli/options/config.js'
import { parse } from 'smol-toml'
import type { Target } from '../target.js'

/** The drivers, by their own names and by Linux's, as a source begins with them. */
const names = /^(ramoops|zone|efi|erst|records|pstore_blk|blk|efi_pstore):/

export const target: Target = {
  seeds: () =>
    [
      `backend = "all"\nsubdirs = "hidden"\nro = true\nkmsg_bytes = "10K"\n[backends.guest1]\ndriver = "ramoops"\n` +
        `source = "/var/lib/guests/1/pstore.img"\nrecord_size = "64K"\nconsole_size = 262144\norder = "dmesg,console"\n` +
        `[backends.efi_pstore]\ndriver = "efi"\nsource = "/sys/firmware/efi/efivars"\n`,
      `allow_other = true\n[backends]\na = { source = "erst:x", tty_size = "0x10" }\nb.source = '''zone:y'''\n` +
        `b.kallsyms = "System.map"\n`,
      `[backends."a b"]\nsource = 1979-05-27\n[[backends.x]]\n`,
      `mode = 0o750\nuid = 1.5e3\n# comment\n"__proto__" = 1\n`,
    ].map(text => Buffer.from(text)),
  words: [
    '[backends.',
    ']\n',
    ' = ',
    '"',
    "'''",
    '__proto__',
    'constructor',
    'source',
    'driver',
    '\\u0000',
    'true',
    '1979-05-27',
    'inf',
    'nan',
    '{',
    '}',
    '[',
  ],
  longest: 4096,
  run(bytes) {
    const text = bytes.toString()
    const { backends } = parseConfig(text, '/folder')
    const { backends: tables = {} } = parse(text) as {
      backends?: { [name: string]: { driver?: string; source: string } }
    }
    for (const { name, source, options } of backends) {
      assert.match(name, /^[A-Za-z0-9._-]+$/)
      const { driver, source: said } = tables[name]!
      // One that names no driver is a path, whose driver is found out.
      const isNamed = driver !== undefined || names.test(said)
      assert.match(source, isNamed ? /^(ramoops|zone|efi|erst|records):\// : /^\//)
      assert.equal(Object.getPrototypeOf(options), Object.prototype)
    }
  },
}
