/** Folders that are used only where nobody else could change them, and work in them that follows no link. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { Folder, isName, type Making } from '#src/native/folder.js'
import { folder, run } from '../program.js'

const isRoot = process.getuid?.() === 0
const nobody = 65534

const refusal = (work: () => unknown): string => {
  try {
    work()
    return 'none'
  } catch (error) {
    return error instanceof Error ? error.message : 'no error'
  }
}

t.test('whose it is, and whose its parents are', async t => {
  const home = folder(t)
  const [own, inner] = [`${home}/own`, `${home}/own/inner`]
  fs.mkdirSync(inner, { recursive: true, mode: 0o755 })
  fs.symlinkSync('own/inner', `${home}/link`)
  const table: [mode: number, outer: number, message: RegExp][] = [
    [0o700, 0o755, /^none$/],
    [0o755, 0o1777, /^none$/],
    [0o755, 0o777, /not used: its parent .*\/own is writable by others, .*chmod go-w/],
    [0o755, 0o775, /not used: its parent .*\/own is writable by others/],
    [0o770, 0o755, /not used: others may write to it: .*chmod go-w/],
    [0o1777, 0o755, /not used: others may write to it/],
  ]
  for (const [mode, outer, message] of table)
    for (const way of [inner, `${home}/link`, `${own}/./x/../inner/`.replace('x/../', '')]) {
      fs.chmodSync(inner, mode)
      fs.chmodSync(own, outer)
      const said = refusal(() => Folder.ours(way, 'nothing').close())
      t.match(said, message, `${mode.toString(8)} in ${outer.toString(8)}`)
      t.notMatch(said, '\n')
    }
  fs.chmodSync(inner, 0o755)
  fs.chmodSync(own, 0o755)
  Folder.any(inner).close()
  if (!isRoot) return t.comment('only root can give files away')
  fs.chownSync(inner, nobody, nobody)
  t.match(
    refusal(() => Folder.ours(inner, 'nothing')),
    /belongs to another user \(65534\): make it yours \(chown 0\), or give another folder$/,
  )
  t.match(
    refusal(() => Folder.ours(own, 'nothing').folder('inner')),
    /own\/inner: not used: belongs to another user/,
  )
  Folder.any(own).folder('inner').close()
  fs.chownSync(inner, 0, 0)
  fs.chownSync(own, nobody, nobody)
  t.match(
    refusal(() => Folder.ours(inner, 'nothing')),
    /its parent .*\/own belongs to another user \(65534\), who could replace it/,
  )
  fs.chownSync(own, 0, 0)
  fs.lchownSync(`${home}/link`, nobody, nobody)
  t.match(
    refusal(() => Folder.ours(`${home}/link`, 'nothing')),
    /\/link is another user's link \(65534\): give the folder itself$/,
  )
})

t.test('an ordinary user has folders of their own', async t => {
  if (!isRoot) return t.comment('only root becomes another user')
  const home = folder(t)
  fs.chmodSync(home, 0o755)
  fs.mkdirSync(`${home}/theirs`)
  fs.chownSync(`${home}/theirs`, nobody, nobody)
  const script =
    `const { Folder } = await import(process.argv[1]); process.setuid(${nobody});` +
    `for (const name of ['theirs/made', '']) try { Folder.ours(process.argv[2] + '/' + name, 'last');` +
    `console.log('used') } catch (error) { console.log(error.message) }`
  const module = path.resolve(import.meta.dirname, '../../dist/native/folder.js')
  const args = ['--input-type=module', '-e', script, module, home]
  const said = spawnSync(process.execPath, args).stdout.toString()
  t.match(said, /^used\n.*belongs to another user \(0\): make it yours \(chown 65534\)/)
})

t.test('what is not there', async t => {
  const home = folder(t)
  fs.writeFileSync(`${home}/file`, '')
  fs.symlinkSync('loop', `${home}/loop`)
  const table: [way: string, making: Making, message: RegExp][] = [
    ['none', 'nothing', /none: no such file or directory$/],
    ['none/inner', 'last', /inner: no such file or directory$/],
    ['file', 'all', /file: not a directory$/],
    ['loop', 'nothing', /loop: is behind too many links$/],
    ['made', 'last', /^none$/],
    ['many/more/', 'all', /^none$/],
  ]
  for (const [way, making, message] of table)
    t.match(
      refusal(() => Folder.ours(`${home}/${way}`, making).close()),
      message,
    )
  for (const made of ['made', 'many', 'many/more'])
    t.equal(fs.statSync(`${home}/${made}`).mode & 0o777, 0o700)
})

t.test('work in it goes through its descriptor', async t => {
  const home = folder(t)
  const victim = `${home}/victim`
  fs.writeFileSync(victim, 'precious')
  const used = Folder.ours(`${home}/used`, 'last')
  t.teardown(() => used.close())
  // Another folder takes its name.
  fs.renameSync(`${home}/used`, `${home}/moved`)
  fs.mkdirSync(`${home}/used`)
  used.write('file', [Buffer.from('a'), Buffer.from('b')])
  t.equal(fs.readFileSync(`${home}/moved/file`, 'latin1'), 'ab')
  t.same(fs.readdirSync(`${home}/used`), [])
  t.equal(fs.statSync(`${home}/moved/file`).mode & 0o777, 0o600)
  t.match(
    refusal(() => used.write('file', [])),
    /EEXIST/,
  )
  fs.symlinkSync(victim, `${home}/moved/link`)
  fs.symlinkSync(home, `${home}/moved/door`)
  run('mkfifo', [`${home}/moved/fifo`])
  t.match(
    refusal(() => used.read('link', 100)),
    /used\/link: is a link/,
  )
  t.match(
    refusal(() => [...used.pieces('fifo')]),
    /used\/fifo: is a pipe/,
  )
  t.match(
    refusal(() => used.folder('door')),
    /ENOTDIR|ELOOP/,
  )
  t.match(
    refusal(() => used.write('link', [])),
    /EEXIST/,
  )
  t.match(
    refusal(() => used.read('../victim', 100)),
    /'\.\.\/victim' is no name of a file$/,
  )
  for (const name of ['link', 'fifo']) {
    fs.symlinkSync(victim, `${home}/moved/.${name}.new`)
    used.replace(name, [Buffer.from('new')])
    t.equal(used.read(name, 100).toString(), 'new')
  }
  t.equal(fs.readFileSync(victim, 'latin1'), 'precious')
  // What cannot be made leaves the old file, and nothing of the new one.
  const cutShort = function* (): Generator<Buffer> {
    yield Buffer.from('half')
    throw new Error('no room')
  }
  t.equal(
    refusal(() => used.replace('link', cutShort())),
    'no room',
  )
  t.equal(used.read('link', 100).toString(), 'new')
  t.notOk(used.has('.link.new'))
  const inner = used.make('inner')
  inner.make('deep').close()
  inner.write('deeper', [])
  inner.close()
  fs.symlinkSync(home, `${home}/moved/inner/deep/door`)
  for (const name of ['inner', 'door', 'file', 'none']) used.remove(name)
  t.same(fs.readdirSync(`${home}/moved`).sort(), ['fifo', 'link'])
  t.ok(fs.existsSync(victim))
  t.same(['a', 'a b', '..x'].map(isName), [true, true, true])
  t.same(['', '.', '..', 'a/b', 'a\0'].map(isName), Array(5).fill(false))
})
