/** scripts/install and scripts/uninstall, and what they install: program, man pages, completion, units. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { mountOptions } from '#src/cli/options/mount-options.js'
import { loadFixture, layoutOptions } from '../fixtures.js'
import { file, run } from '../program.js'

const project = path.resolve(import.meta.dirname, '../..')

/** What an installation is made from. */
const kept =
  'package.json package-lock.json tsconfig.json src man scripts units native-notes CHANGELOG.md README.md LICENSE'.split(
    ' ',
  )

/** Run a command without tap in its Node processes. */
const plain = (command: string[], env: { [name: string]: string } = {}) =>
  spawnSync('sh', ['-c', 'unset NODE_OPTIONS; exec "$@"', 'sh', ...command], {
    env: { ...process.env, ...env },
  })

/** Everything below a folder: names, kinds, and what is in the files. */
const picture = (below: string): string[] =>
  fs
    .readdirSync(below, { recursive: true, encoding: 'utf8' })
    .sort()
    .map(name => {
      const stat = fs.lstatSync(path.join(below, name))
      return `${name} ${stat.mode} ${stat.isFile() ? fs.readFileSync(path.join(below, name), 'utf8') : ''}`
    })

t.test('install, use, uninstall', async t => {
  // Beside the project, from where programs can be run: TMPDIR may be noexec.
  const home = t.testdir({ destination: {}, copy: {} })
  const destination = `${home}/destination`
  // Built in a copy: other tests run the program meanwhile.
  const copy = `${home}/copy`
  for (const name of kept)
    fs.cpSync(path.join(project, name), `${copy}/${name}`, { recursive: true })
  fs.symlinkSync(path.join(project, 'node_modules'), `${copy}/node_modules`)
  const script = (name: string, args: string[] = []) => {
    const { status, stdout, stderr } = plain([path.join(copy, 'scripts', name), ...args], {
      DESTDIR: destination,
    })
    return { status, said: `${stdout}${stderr}` }
  }
  // What was there before stays.
  const prefix = `${destination}/opt/x`
  fs.mkdirSync(`${prefix}/share/man/man8`, { recursive: true })
  fs.mkdirSync(`${prefix}/bin`)
  fs.writeFileSync(`${prefix}/share/man/man8/other.8`, 'another')
  const before = picture(destination)

  t.match(script('uninstall', ['--prefix', '/opt/x']), { status: 1, said: /has put nothing there/ })
  t.match(script('install', ['--prefix', 'opt']), { status: 2, said: /must be a path/ })
  t.match(script('install', ['--bogus']), { status: 2, said: /--bogus: unknown option/ })
  t.same(picture(destination), before)
  const { status, said } = script('install', ['--prefix', '/opt/x'])
  t.equal(status, 0, said)
  t.match(said, /^mount -t fuse\.pstorefs does not look there: ln -s \/opt\/x\/bin\/pstorefs /m)
  t.match(script('install', ['--prefix', '/opt/x']), { status: 1, said: /has it already/ })

  const program = `${prefix}/bin/pstorefs`
  const fixture = loadFixture('all-noecc')
  const region = file(t, fixture.region())
  const [{ name }] = fixture.files
  t.same(run(program, ['cat', region, name, ...layoutOptions(fixture)]).stdout, fixture.file(name))

  const pages = JSON.parse(fs.readFileSync(path.join(project, 'package.json'), 'utf8'))
    .man as string[]
  let text = ''
  for (const page of pages.map(page => path.basename(page))) {
    const found = fs.realpathSync(`${prefix}/share/man/man${page.at(-1)}/${page}`)
    const { status, stdout, stderr } = run('man', ['--warnings', '-E', 'UTF-8', '-l', found])
    t.same([status, stderr], [0, ''], page)
    t.notMatch(
      stdout.toString(),
      /&\w+;|COMPREPLY|@(?:HELP|COMMANDS|PARAM)/,
      'neither entities nor scripts',
    )
    text += stdout
  }
  // The help of every command stands in one of the pages.
  const help = String(run(program, ['help']).stdout)
  const commands = Array.from(help.matchAll(/^ {2}([a-z]+) {2,}\S/gm), ([, name]) => name)
  t.ok(commands.length > 10)
  for (const command of commands) if (!text.includes(`pstorefs ${command} `)) t.fail(command)
  for (const [option, { takes }] of Object.entries(mountOptions))
    if (takes !== null && !text.includes(`${option}=`)) t.fail(`${option}=`)

  const complete = `
    PATH=${prefix}/bin:$PATH
    . ${prefix}/share/bash-completion/completions/pstorefs
    try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pstorefs_yargs_completions; echo "\${COMPREPLY[@]}"; }
    try pstorefs pro
    try pstorefs ls --record
    try pstorefs ''
    try pstorefs write ''
    try pstorefs mount region.img --subdirs ''
    try pstorefs ls ''`
  const completed = plain(['bash', '-c', complete]).stdout.toString().split('\n')
  t.same(completed.slice(0, 2), ['probe', '--record-size'])
  t.match(completed[2], /^list show ls cat /)
  t.notMatch(completed[2], '$')
  t.same(completed.slice(3, 5), ['console tty pmsg dmesg', 'visible hidden off'])
  t.equal(completed[5], '', 'files are what bash itself offers')
  const zsh = fs.readFileSync(`${prefix}/share/zsh/site-functions/_pstorefs`, 'utf8')
  t.match(zsh, /^#compdef pstorefs\n/)

  // systemd's own checks, also of the man pages that they name.
  for (const unit of fs.readdirSync(`${prefix}/lib/systemd/system`)) {
    const installed = `${prefix}/lib/systemd/system/${unit}`
    t.notMatch(fs.readFileSync(installed, 'utf8'), '/usr/local')
    // Where it will be, as verify looks for the command.
    const there = `mount -t tmpfs none /opt; mkdir /opt/x; mount --bind ${prefix} /opt/x`
    const verify = `${there}; systemd-analyze verify ${installed}`
    const { status, stderr } = plain(['unshare', '--mount', 'sh', '-ec', verify], {
      MANPATH: `${prefix}/share/man:`,
    })
    t.same([status, stderr.toString()], [0, ''], unit)
  }
  for (const name of [
    'share/doc/pstorefs/examples/pstorefs.toml',
    'lib/systemd/catalog/pstorefs.catalog',
  ])
    t.ok(fs.existsSync(`${prefix}/${name}`), name)

  const removed = script('uninstall', ['--prefix', '/opt/x'])
  t.equal(removed.status, 0, removed.said)
  t.same(picture(destination), before, 'all is as it was')
})

t.test("the manual's score is what systemd gives", async t => {
  const readme = fs.readFileSync(path.join(project, 'man/pstorefs-mount.8.md'), 'utf8')
  for (const unit of ['pstorefs.service', 'pstorefs@.service']) {
    const file = path.join(project, 'units', unit)
    const { stdout } = run('systemd-analyze', ['security', '--offline=yes', file])
    const [, score] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout.toString()) ?? []
    t.match(readme.replaceAll(/\s+/g, ' '), `\`${unit}\` ${score}`)
  }
})
