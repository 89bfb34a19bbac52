/** Names of records in short: by their beginning, number or a pattern, in every command that takes them. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { matchesPattern, standsFor } from '#src/cli/options/name-patterns.js'
import { layoutOptions, loadFixture } from '../fixtures.js'
import { file, folder, program, pstorefs, run, succeed } from '../program.js'

const layout = '--record-size 4K --console-size 4K --pmsg-size 4K --ftrace-size 0'.split(' ')

t.test('what a word stands for', async t => {
  for (const [word, name, stands] of [
    ['dmesg-ramoops-0', 'dmesg-ramoops-0', true],
    ['dmesg-ramoops-0', 'dmesg-ramoops-0.enc.z', true],
    ['dmesg-ramoops-0.enc.z', 'dmesg-ramoops-0', false],
    ['dmesg-ramoops-1', 'dmesg-ramoops-11', false],
    ['dmesg', 'dmesg-ramoops-0', true],
    ['dmes', 'dmesg-ramoops-0', false],
    ['dmesg-ramoops', 'dmesg-ramoops-0.enc.z', true],
    ['dmesg-1', 'dmesg-ramoops-1', true],
    ['dmesg-1', 'dmesg-ramoops-11', false],
    ['dmesg-1', 'dmesg-web-1-0', false],
    ['dmesg-web-1', 'dmesg-web-1-0', true],
    ['boot-log', 'boot-log-ramoops-0', true],
    ['1', 'dmesg-ramoops-1.enc.z', true],
    ['1', 'console-ramoops-1', false],
    ['5.2', 'dmesg-erst-5.2', true],
    ['2', 'dmesg-erst-5.2', false],
    ['dmesg*', 'dmesg-ramoops-0', true],
    ['*0', 'dmesg-ramoops-0.enc.z', false],
    ['', 'dmesg-ramoops-0', false],
    ['../dmesg', 'dmesg-ramoops-0', false],
  ] as const)
    t.equal(standsFor(word, name), stands, `${word}: ${name}`)
})

t.test('patterns', async t => {
  for (const [pattern, name, matches] of [
    ['*', '', true],
    ['*', 'a', true],
    ['?', '', false],
    ['?', 'é', true],
    ['a*c', 'abcbc', true],
    ['a*c', 'abcb', false],
    ['*a*b*', 'xaxbx', true],
    ['a**', 'a', true],
    ['[ab]', 'b', true],
    ['[!ab]', 'b', false],
    ['[^a]c', 'bc', true],
    ['[0-9]', '5', true],
    ['[0-9]', '-', false],
    ['[0-]', '-', true],
    ['[]]', ']', true],
    ['a[', 'a[', true],
    ['a.c', 'abc', false],
  ] as const)
    t.equal(matchesPattern(pattern, name), matches, `${pattern}: ${name}`)
  const long = `${'*a'.repeat(100)}b`
  t.notOk(matchesPattern(long, 'a'.repeat(10_000)), 'no pattern takes for ever')
})

/** A region with three dumps and a console. */
const make = (t: Test): string => {
  const region = `${folder(t)}/region.img`
  succeed(t, ['format', region, '--mem-size', '32K', ...layout])
  for (const text of ['one\n', 'two\n', 'three\n'])
    succeed(t, ['write', 'dmesg', region, ...layout], Buffer.from(text))
  succeed(t, ['write', 'console', region, ...layout], Buffer.from('console\n'))
  return region
}

/** What is printed, without the titles of dumps. */
const cat = (t: Test, ...args: string[]): string =>
  succeed(t, ['cat', ...args, ...layout])
    .toString()
    .replaceAll(/^Panic#\d Part1\n/gm, '')

const names = (t: Test, region: string): string[] =>
  succeed(t, ['ls', region, ...layout])
    .toString()
    .split('\n')
    .filter(Boolean)
    .map(line => line.split(' ')[0]!.replace('-ramoops', ''))

t.test('cat', async t => {
  const region = make(t)
  for (const [words, text] of [
    [[], 'three\n'],
    [['dmesg'], 'three\n'],
    [['0'], 'one\n'],
    [['dmesg-1', 'console'], 'two\nconsole\n'],
    [['dmesg*'], 'one\ntwo\nthree\n'],
    [['*-[02]', '2'], 'one\nthree\nconsole\n'],
  ] as const)
    t.equal(cat(t, region, ...words), text, words.join(' '))
  t.equal(cat(t, '--raw', region, 'c*'), 'console\n')
  for (const [word, why] of [
    ['3', /has no record 3: there is dmesg-ramoops-0, .*, console-ramoops-0\n$/],
    ['tty*', /has no record tty\*: there is dmesg-ramoops-0, /],
    ['--raw', /dmesg is any of dmesg-ramoops-0, .*: name one, or give a pattern\n$/],
  ] as const) {
    if (word === '--raw') succeed(t, ['erase', region, 'dmesg*', ...layout])
    const { status, stdout, stderr } = pstorefs(['cat', region, word, ...layout])
    t.equal(status, 1)
    t.equal(stdout.length, 0)
    t.match(stderr, why)
    t.match(stderr, /^[^\n]+\n$/, 'one line')
  }
  const none = pstorefs(['cat', region, ...layout])
  t.match(none, { status: 1, stderr: /has no record dmesg: there is console-ramoops-0\n$/ })
})

t.test('a dump that cannot be inflated, and one in parts', async t => {
  const broken = loadFixture('ecc1-unrecoverable-dmesg')
  const source = file(t, broken.region())
  const { stdout, stderr } = pstorefs(['cat', source, '0', ...layoutOptions(broken)])
  const [name = ''] = broken.files.map(({ name }) => name).filter(name => name.endsWith('.enc.z'))
  t.ok(name && stdout.length > 0)
  t.match(stderr, `pstorefs: ${name}: cannot be inflated: these are its bytes (--salvage`)
  const salvaged = succeed(t, ['cat', '--salvage', source, '0', ...layoutOptions(broken)])
  t.match(salvaged.toString(), /^(Panic|Oops)#\d+ Part1\n/)

  const erst = file(t, loadFixture('erst-panics').region())
  const parts = succeed(t, ['cat', erst]).toString()
  const numbers = [...parts.matchAll(/^Panic#\d+ Part(\d+)$/gm)].map(([, part]) => Number(part))
  t.ok(numbers.length > 1, 'all parts of the newest dump')
  t.same(
    numbers,
    numbers.toSorted((a, b) => b - a),
    'the oldest text first',
  )
})

t.test('erase', async t => {
  const region = make(t)
  const before = fs.readFileSync(region)
  for (const [args, status, why] of [
    [['dmesg'], 1, /dmesg is any of dmesg-ramoops-0, dmesg-ramoops-1, dmesg-ramoops-2: name one/],
    [['console', 'dmesg-7'], 1, /has no record dmesg-7: there is/],
    [['tty*'], 1, /has no record tty\*/],
    [[], 2, /NAME is missing, e\.g\. pstorefs erase/],
    [['dmesg-0', '--all'], 2, /NAMES or --all, not both/],
    [['dmesg-0', '--yes'], 2, /--yes needs --all/],
  ] as const) {
    const { stderr, ...outcome } = pstorefs(['erase', region, ...args, ...layout])
    t.equal(outcome.status, status)
    t.match(stderr, why)
  }
  t.ok(fs.readFileSync(region).equals(before), 'nothing has changed')
  const erase = (...args: string[]): string =>
    succeed(t, ['erase', region, ...args, ...layout]).toString()
  t.equal(erase('dmesg-ramoops-0'), '', 'what was named in full goes silently')
  t.equal(erase('1'), 'dmesg-ramoops-1: erased\n')
  t.same(names(t, region), ['dmesg-2', 'console-0'])
  t.equal(erase('*'), 'dmesg-ramoops-2: erased\nconsole-ramoops-0: erased\n')
  t.same(names(t, region), [])
})

t.test('erase --all', async t => {
  const region = make(t)
  const onTerminal = (answer: string): { status: number | null; stdout: string } => {
    const command = [process.execPath, program, 'erase', region, '--all', ...layout].join(' ')
    const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
      input: answer,
      encoding: 'utf8',
    })
    return { status, stdout }
  }
  const question = 'Erase 4 records of region for good? [y/N]'.replace('region', region)
  for (const answer of ['\n', 'n\n', 'x yes\n', '\x04']) {
    const { status, stdout } = onTerminal(answer)
    t.equal(status, 1)
    t.match(stdout, question)
    t.match(stdout, /^ {2}dmesg-ramoops-0\r\n/m)
  }
  t.equal(names(t, region).length, 4, 'nothing is erased without a yes')
  const { status, stdout } = onTerminal('y\n')
  t.equal(status, 0)
  t.match(stdout, /console-ramoops-0: erased/)
  t.same(names(t, region), [])

  const other = make(t)
  const told = pstorefs(['erase', other, '--all', ...layout], Buffer.from('n\n'))
  t.equal(told.status, 0, 'nobody is asked without a terminal')
  t.match(told.stdout.toString(), /^(\S+: erased\n){4}$/)
  t.same(names(t, other), [])
  const again = pstorefs(['erase', other, '--all', ...layout])
  t.match(again, { status: 0, stderr: /has no record to erase\n$/ })

  const copies = folder(t)
  for (const name of ['dmesg-ramoops-0', 'dmesg-ramoops-1'])
    fs.writeFileSync(`${copies}/${name}`, 'x')
  const refused = pstorefs(['erase', copies, '--all'])
  t.equal(refused.status, 1)
  t.match(refused.stderr, /^[^\n]*these are copies: rm removes them\n$/, 'said once')
})

t.test('show', async t => {
  const region = make(t)
  const archive = `${folder(t)}/archive`
  succeed(t, ['archive', region, archive, ...layout])
  t.match(succeed(t, ['show', archive, '*panic-3*']).toString(), /three/)
  t.match(succeed(t, ['show', archive, '2*-panic-*']).toString(), /three/, 'the newest of them')
  t.match(pstorefs(['show', archive, '*oops*']), { status: 1, stderr: /no such crash/ })
})

t.test('words behind -- are no options', async t => {
  const home = folder(t)
  fs.copyFileSync(make(t), `${home}/-r.img`)
  const there = (...args: string[]) =>
    run('sh', ['-c', 'cd "$1"; shift; exec "$@"', 'sh', home, process.execPath, program, ...args])
  const listed = String(there('ls', './-r.img', ...layout).stdout)
  t.match(listed, /^dmesg-ramoops-0 /)
  t.equal(String(there('ls', ...layout, '--', '-r.img').stdout), listed)
  t.match(there('cat', './-r.img', ...layout, '--', 'dmesg-1'), { status: 0, stderr: '' })
  t.match(there('ls', '--', '--json'), { status: 1, stderr: 'pstorefs: --json: no such file\n' })
  t.match(there('list', '--', 'gone'), { status: 1, stderr: 'pstorefs: gone: no such file\n' })
})

/** What bash offers for the last of some words, by the script that `completion` prints; the login shell is zsh. */
const offered = (home: string, ...words: string[]): string[] => {
  const script = `
    cd "$1"; shift
    pstorefs() { "$NODE" "$PROGRAM" "$@"; }
    export SHELL=/bin/zsh
    eval "$(pstorefs completion bash)"
    COMP_WORDS=(pstorefs "$@") COMP_CWORD=$#
    _pstorefs_yargs_completions
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const env = { NODE: process.execPath, PROGRAM: program }
  const assigned = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const { stdout, stderr } = run('env', [...assigned, 'bash', '-c', script, 'bash', home, ...words])
  return [stdout.toString(), stderr].join('').split('\n').filter(Boolean)
}

t.test('the shell of a completion script is the one that is named, or SHELL', t => {
  const script = (shell: string, ...args: string[]): string => {
    const { status, stdout, stderr } = run('env', [
      `SHELL=${shell}`,
      process.execPath,
      program,
      'completion',
      ...args,
    ])
    return `${status} ${stdout}${stderr}`
  }
  for (const [shell, ...args] of [['/bin/zsh'], ['/bin/bash', 'zsh'], ['/bin/fish', 'zsh']])
    t.match(script(shell!, ...args), /^0 #compdef pstorefs\n/)
  for (const [shell, ...args] of [['/bin/bash'], ['/bin/zsh', 'bash'], ['/bin/fish']])
    t.match(script(shell!, ...args), /^0 ###-begin-.*\ncomplete -o bashdefault /s)
  t.match(script('/bin/bash', 'fish'), /^2 pstorefs: completion 'fish': must be bash or zsh \(see/)
  t.end()
})

t.test('completion', async t => {
  const home = folder(t)
  fs.copyFileSync(make(t), `${home}/r.img`)
  fs.writeFileSync(
    `${home}/c.toml`,
    '[backends.web1]\nsource = "r.img"\n[backends.db]\nsource = "x"\n',
  )
  // Too large to be searched, and a device.
  fs.closeSync(fs.openSync(`${home}/large.img`, 'w'))
  fs.truncateSync(`${home}/large.img`, 2 ** 32)
  run('mkfifo', [`${home}/fifo`])
  const [dump0, dump1, dump2, log] = [
    'dmesg-ramoops-0',
    'dmesg-ramoops-1',
    'dmesg-ramoops-2',
    'console-ramoops-0',
  ]
  const how = layout.join(' ')
  for (const [line, offers] of [
    [`cat ${how} r.img `, [dump0, dump1, dump2, log]],
    [`cat r.img ${how} d`, [dump0, dump1, dump2]],
    [`cat --raw ${how} r.img c`, [log]],
    [`erase ${how} r.img ${dump0} c`, [log]],
    [`follow ${how} r.img `, [log, 'pmsg-ramoops-0']],
    [`cat --config c.toml ${how} web1 c`, ['console-web1-0']],
    ['ls --config c.toml ', ['web1', 'db']],
    ['archive --config c.toml --backend w', ['web1']],
    ['write tty --config c.toml --backend web1,', ['web1,db']],
    // What an option or another argument takes is no SOURCE.
    ['list --config c.toml --since 2h -n 3 ', ['web1', 'db']],
    ['mount -o ro --config c.toml w', ['web1']],
    ['write console --config c.toml w', ['web1']],
    ['write console --config c.toml web1 w', []],
    [`cat --record_size 4K ${how} r.img c`, [log]],
    ['show --level e', ['emerg', 'err']],
    ['mount r.img mnt -o ro,rec', ['ro,record_size=']],
    ['cat nowhere ', []],
    ['cat fifo ', []],
    ['cat /dev/zero ', []],
    ['cat large.img ', []],
    [`cat --mem-size=32K ${how} large.img `, []],
    ['cat ', []],
    ['ls r.img ', []],
  ] as const)
    t.same(offered(home, ...line.split(' ')), offers, line)
  for (const word of ['-', '--', '--js'])
    t.ok(offered(home, 'ls', word).includes('--json'), `ls ${word}`)
  for (const command of ['status', 'ship'])
    t.notOk(offered(home, command, '--rec').includes('--record-size'), command)
})
