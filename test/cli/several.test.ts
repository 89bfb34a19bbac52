/** Several sources in one command, and `-` wherever a file goes. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { folder, program, pstorefs, succeed } from '../program.js'

const layout = '--record-size 4K --console-size 4K --pmsg-size 4K --ftrace-size 0'.split(' ')
const table = 'record_size = 4096\nconsole_size = 4096\npmsg_size = 4096\nftrace_size = 0\n'

/** Two regions, g1 with a dump and g2 with a console; a config file that also names one that is not there. */
const make = (t: Test): string => {
  const home = folder(t)
  for (const name of ['g1', 'g2'])
    succeed(t, ['format', `${home}/${name}.img`, '--mem-size', '16K', ...layout])
  succeed(t, ['write', 'dmesg', `${home}/g1.img`, ...layout], Buffer.from('why\n'))
  succeed(t, ['write', 'console', `${home}/g2.img`, ...layout], Buffer.from('line\n'))
  const backends = ['g1', 'lost', 'g2'].map(
    name => `[backends.${name}]\nsource = "${name}.img"\n${table}`,
  )
  fs.writeFileSync(`${home}/guests.toml`, backends.join(''))
  return home
}

/** Run in a folder, where sources have short names. */
const within = (home: string, args: string[], input: Uint8Array = Buffer.alloc(0)) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: home,
    input,
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

const sources = ['g1.img', 'lost.img', 'g2.img', ...layout]
const configured = ['--config', 'guests.toml', '--backend', 'all']

t.test('for people', async t => {
  const home = make(t)
  for (const [command, first, second] of [
    [['ls'], /^dmesg-\w+-0 +\d+ .*no parity\n$/, /^console-\w+-0 +5 .*no parity\n$/],
    [['check'], /^g1[^:]*: 1 sound, 3 empty\n$/, /^g2[^:]*: 1 sound, 3 empty\n$/],
    [['info'], /^g1[^:]*: (ramoops|g1), /, /^g2[^:]*: (ramoops|g2), /],
    [['follow'], /^$/, /^line\n$/],
  ] as const)
    for (const [given, suffix] of [
      [sources, '.img'],
      [configured, ''],
    ] as const) {
      const follow = command[0] === 'follow' ? ['console', '--timeout', '0'] : []
      const { status, stdout, stderr } = within(home, [...command, ...given, ...follow])
      t.equal(status, 1, `${command[0]}: one is not there`)
      t.match(stderr, /^pstorefs: [^\n]*lost\.img: no such file\n$/)
      const ring = (n: number): string =>
        follow.length === 0 ? '' : `: console-${suffix ? 'ramoops' : `g${n}`}-0`
      const heads = [1, 2].map(n => `==> g${n}${suffix}${ring(n)} <==\n`)
      // Headers come first where rings are introduced, and again before their text.
      const last = stdout.lastIndexOf(heads[1]!)
      t.ok(stdout.startsWith(heads[0]!) && last > 0, stdout)
      if (follow.length === 0) {
        t.match(stdout.slice(heads[0]!.length, last).replace(/\n$/, ''), first)
        t.match(stdout.slice(last - 2, last), '\n\n', 'an empty line between them')
      }
      t.match(stdout.slice(last + heads[1]!.length), second)
    }
})

t.test('for programs', async t => {
  const home = make(t)
  const json = (...args: string[]): { [name: string]: unknown }[] => {
    const { status, stdout } = within(home, [...args, '--json'])
    t.equal(status, args.includes('g1.img') && !args.includes('g2.img') ? 0 : 1)
    return JSON.parse(stdout) as { [name: string]: unknown }[]
  }
  for (const command of ['ls', 'check', 'info']) {
    const places = json(command, ...sources).map(({ backend, source }) => [backend, source])
    t.same(places, [
      ['ramoops', 'g1.img'],
      ['ramoops', 'g2.img'],
    ])
    t.same(
      json(command, ...configured).map(({ backend, source }) => [backend, source]),
      [
        ['g1', 'g1'],
        ['g2', 'g2'],
      ],
    )
    const [one, ...others] = json(command, 'g1.img', ...layout)
    t.match(one, { source: 'g1.img' }, 'the same shape for one')
    t.same(others, [])
  }
})

t.test('which', async t => {
  const home = make(t)
  const two = within(home, ['ls', '--config', 'guests.toml', '--backend', 'g2,g1'])
  t.match(two, { status: 0, stdout: /^==> g2 <==\n[^]*\n\n==> g1 <==\n/, stderr: '' })
  const one = within(home, ['ls', '--config', 'guests.toml', '--backend', 'g2'])
  t.match(one, { status: 0, stdout: /^console-g2-0 / }, 'one alone has no header')
  const list = within(home, ['list', 'lost.img', 'g1.img', ...layout])
  t.match(list, { status: 1, stdout: /^1 .*panic/, stderr: /lost\.img: no such file\n$/ })
  for (const [args, status, why] of [
    [['ls', 'g1.img', ...configured], 2, /Give SOURCE or --backend, not both/],
    [['check'], 2, /check: SOURCE is missing, e\.g\. pstorefs check region\.img/],
    [['follow', 'console', ...layout], 2, /follow: NAME is missing/],
    [['ls', '--config', 'guests.toml', '--backend', 'g9'], 1, /backend 'g9': not known; there is/],
    [['info', 'g1.img', 'g2.img', '--svg', 'a.svg'], 1, /--svg: draws one source/],
    [['ls', 'lost.img'], 1, /lost\.img: no such file/],
  ] as const) {
    const outcome = within(home, [...args])
    t.equal(outcome.status, status, args.join(' '))
    t.match(outcome.stderr, why)
    t.equal(outcome.stdout, '')
  }
})

t.test('standard input and output', async t => {
  const home = make(t)
  const g1 = fs.readFileSync(`${home}/g1.img`)
  for (const [args, input, printed] of [
    [['ls', '-', ...layout], g1, /^dmesg-ramoops-0 /],
    [['ls', 'g2.img', '-', ...layout], g1, /==> - <==\ndmesg-ramoops-0 /],
    [['cat', '-', '0', ...layout], g1, /why\n$/],
    [['check', '-', ...layout], g1, /^-: 1 sound/],
    [['list', '-', ...layout], g1, /panic/],
    [['show', '-', ...layout], g1, /why/],
    [['info', 'g1.img', '--svg', '-', ...layout], '', /^<svg [^]*<\/svg>\n?$/],
    [['info', 'g1.img', '--svg=-', ...layout], '', /^<svg /],
    [
      ['ls', 'g1.img', '--layout', '-'],
      `[backends.x]\nsource = "y"\nmem_address = 0\nmem_size = 16384\n${table}`,
      /^dmesg-/,
    ],
    [['ls', 'g1', '--config', '-'], fs.readFileSync(`${home}/guests.toml`), /^dmesg-g1-0/],
    [['tty', 'g1.img', '--tty-size', '4K', ...layout, '--', 'printf', '%s', '-'], '', /^-$/],
  ] as const) {
    const { status, stdout, stderr } = within(home, [...args], Buffer.from(input))
    t.equal(status, 0, `${args.join(' ')}: ${stderr}`)
    t.match(stdout, printed, args.join(' '))
  }
  const symbols = within(home, ['ls', 'g1.img', '--kallsyms', '-', ...layout], Buffer.from('x'))
  t.match(symbols, { status: 1, stderr: /^pstorefs: -: [^\n]*no symbols/ })
  for (const [args, why] of [
    [['format', '-', '--mem-size', '16K', ...layout], /can only be read/],
    [['write', 'console', '-', ...layout], /can only be read/],
    [['erase', '-', 'dmesg', ...layout], /can only be read/],
    [['archive', 'g1.img', '-', ...layout], /DIR is a folder: \.\/-/],
    [['archive', '--config', 'guests.toml', '--all-backends', '-'], /DIR is a folder/],
    [['archive', 'g1.img', 'kept', '--textfile', '-', ...layout], /--textfile: -: name a file/],
    [['info', 'g1.img', '--svg', '-', '--json', ...layout], /--svg - or --json, not both/],
    [['info', 'g1.img', '--svg', 'none/a.svg', ...layout], /none\/a\.svg: no such file\n$/],
  ] as const) {
    const { status, stderr } = within(home, [...args])
    t.not(status, 0, args.join(' '))
    t.match(stderr, why)
    t.match(stderr, /^[^\n]+\n$/)
  }
  t.notOk(fs.existsSync(`${home}/-`), 'no file is called so')
  t.equal(pstorefs(['archive', '-']).status, 2)
})
