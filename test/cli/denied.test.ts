/** What another user may not look at: each command says so in a line, and nothing of it is shown or changed. */
import fs from 'node:fs'
import t from 'tap'
import { attach, format, writeDump, type AttachOptions } from '#src/index.js'
import { inside, makeApart } from '../apart.js'

const asRoot = process.getuid?.() !== 0 && 'only root can be another user'

const layout: AttachOptions = { record_size: 4096, console_size: 4096 }

const makeRegion = (path: string): void => {
  format(path, { ...layout, mem_size: 65_536 })
  const backend = attach(path, layout)
  writeDump(backend, Buffer.from('why\n'))
  backend.close()
}

/** Commands, of a source. */
const commands = [
  'ls @',
  'cat @',
  'info @',
  'check @',
  'probe @',
  'list @',
  'show @',
  'follow @ console --timeout 1',
  'erase @ --all',
  'write console @',
  'tty @ -- true',
  'console @',
  'archive @ /mnt/own/archive',
  'mount @ /mnt/own/mount',
  'format @ --mem-size 64K --record-size 4K',
  'retention @ --mem-size 64K',
  'ls /mnt/own/region.img --layout @',
  'ls --config @ guest',
  'archive /mnt/own/region.img @',
  'info /mnt/own/region.img --svg @',
]

t.test('a file, a folder, and what is in it', { skip: asRoot }, async t => {
  const { home, sh } = makeApart(t)
  for (const name of ['own', 'closed', 'listed']) fs.mkdirSync(`${home}/${name}`)
  for (const path of ['own/region.img', 'closed/region.img', 'listed/region.img', 'file.img'])
    makeRegion(`${home}/${path}`)
  fs.chownSync(`${home}/own`, 1000, 1000)
  fs.chownSync(`${home}/own/region.img`, 1000, 1000)
  fs.chmodSync(`${home}/closed`, 0o700)
  // Its names may be read, and nothing else.
  fs.chmodSync(`${home}/listed`, 0o744)
  fs.chmodSync(`${home}/file.img`, 0o600)
  const regions = ['closed/region.img', 'listed/region.img', 'file.img'].map(
    name => `${home}/${name}`,
  )
  const before = regions.map(path => fs.readFileSync(path))
  const cases = ['closed', 'closed/region.img', 'listed/region.img', 'file.img'].flatMap(name =>
    commands.map(command => command.replace('@', `${inside}/${name}`)),
  )
  const lines = cases.map(
    command => `as 1000 pstorefs ${command} </dev/null >out 2>err && code=0 || code=$?
      printf '%s %s %s\\n' $code $(wc -c <out) "$(cat err)"`,
  )
  const { said, stderr } = sh(`cd ${inside}/own; touch out err; chown 1000 .\n${lines.join('\n')}`)
  const results = said.trimEnd().split('\n')
  t.equal(results.length, cases.length, `a line each: ${said}${stderr}`)
  for (const [i, command] of cases.entries())
    t.match(
      results[i],
      /^[12] 0 pstorefs: [^\n]*(permission denied|not permitted|is a folder|not a directory)/,
      command,
    )
  t.same(
    regions.map(path => fs.readFileSync(path)),
    before,
    'they are as they were',
  )
})

t.test('what is kept elsewhere is listed', { skip: asRoot }, async t => {
  const { home, sh } = makeApart(t)
  makeRegion(`${home}/region.img`)
  const { said } = sh(`
    mount -t tmpfs none /var/lib
    mkdir -p /var/lib/systemd/pstore
    pstorefs cat ${inside}/region.img dmesg >/var/lib/systemd/pstore/dmesg-ramoops-0
    look() { "$@" 2>&1 || echo "exit $?"; }
    echo '[backends.gone]\nsource = "/nowhere"' >/etc/pstorefs.toml
    look pstorefs list
    look pstorefs show
    echo 'bogus = true' >/etc/pstorefs.toml
    look pstorefs list
    look pstorefs list /nowhere /var/lib/systemd/pstore
    rm /etc/pstorefs.toml
    mkdir -m 700 /var/lib/pstorefs-archive
    look as 1000 pstorefs list`)
  t.match(
    said.replaceAll(/ +[\d-]+ [\d:]+ +ramoops/g, ' @'),
    new RegExp(
      [
        '^pstorefs: /nowhere: no such file\n1 @ .*\nexit 1\n',
        'pstorefs: /nowhere: no such file\n[^]*\nexit 1\n',
        'pstorefs: /etc/pstorefs.toml: bogus: must be a string\n1 @ .*\nexit 1\n',
        'pstorefs: /nowhere: no such file\n1 @ .*\nexit 1\n',
        'pstorefs: /var/lib/pstorefs-archive: permission denied\n1 @ .*\nexit 1\n$',
      ].join(''),
    ),
  )
})
