/** A source that another file takes the place of: `follow` and a mount say so, and go on with the new one. */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder, isMounted, program, run, until } from '../program.js'

const layout: AttachOptions = {
  record_size: 4096,
  console_size: 4096,
  pmsg_size: 0,
  ftrace_size: 0,
}
const flags = Object.entries(layout).map(
  ([name, value]) => `--${name.replace('_', '-')}=${String(value)}`,
)

/** A region whose console has a text. */
const make = (path: string, text: string): string => {
  format(path, { ...layout, mem_size: 16384 })
  say(path, text)
  return path
}

const say = (path: string, text: string): void => {
  const backend = attach(path, layout)
  backend.write({ type: 'console', bytes: Buffer.from(text) })
  backend.close()
}

/** Run the program until the test ends. */
const start = (t: Test, args: string[]) => {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  return said
}

t.test('follow, as tail -F does', async t => {
  const home = folder(t)
  const path = make(`${home}/region.img`, 'first\n')
  const said = start(t, ['follow', path, 'console-ramoops-0', ...flags])
  t.ok(await until(() => said.out === 'first\n'), said.err)
  say(path, 'second\n')
  const old = 'first\nsecond\n'
  t.ok(await until(() => said.out === old), said.err)
  fs.renameSync(make(`${home}/new.img`, 'third\n'), path)
  t.ok(await until(() => said.out === `${old}third\n`), 'all that the new one holds')
  t.equal(said.err, `pstorefs: ${path}: was replaced: following the new one\n`)
  say(path, 'fourth\n')
  t.ok(await until(() => said.out.endsWith('third\nfourth\n')), 'and what is appended to it')

  said.err = ''
  fs.unlinkSync(path)
  t.ok(await until(() => said.err !== ''))
  t.equal(said.err, `pstorefs: ${path}: is gone: waiting for a new one\n`)
  fs.writeFileSync(path, 'no region')
  t.ok(await until(() => said.err.includes('cannot be followed yet')), said.err)
  fs.unlinkSync(path)
  make(path, 'fifth\n')
  t.ok(await until(() => said.out.endsWith('fourth\nfifth\n')), said.err)
})

t.test('a line of the old file does not go on in the new one', async t => {
  const home = folder(t)
  const path = make(`${home}/region.img`, 'first\nno end')
  const said = start(t, ['follow', path, 'console-ramoops-0', '--grep', '^(first|new)', ...flags])
  t.ok(await until(() => said.out === 'first\n'), said.err)
  fs.renameSync(make(`${home}/new.img`, 'new line\n'), path)
  t.ok(await until(() => said.err.includes('was replaced')), said.err)
  t.ok(await until(() => said.out === 'first\nnew line\n'), 'it is a line of its own')
})

t.test('a mount of one source', async t => {
  const home = folder(t)
  const path = make(`${home}/region.img`, 'first')
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  const said = start(t, ['mount', '--foreground', path, mountpoint, ...flags])
  t.ok(await until(() => said.err.includes('attached')), said.err)
  const file = `${mountpoint}/console-ramoops-0`
  const fd = fs.openSync(file, 'r')
  fs.renameSync(make(`${home}/new.img`, 'second'), path)
  t.ok(await until(() => said.err.includes('was replaced')), said.err)
  t.match(said.err, `pstorefs: ${path}: was replaced: the new one is served from now on\n`)
  t.equal(fs.readFileSync(file, 'utf8'), 'second')
  t.equal(fs.readFileSync(fd, 'utf8'), 'first', 'an open file keeps its bytes')
  fs.closeSync(fd)
})

t.test('one of several backends', async t => {
  const home = folder(t)
  const config = `${home}/config.toml`
  const sizes = Object.entries(layout).map(([name, value]) => `${name} = ${String(value)}\n`)
  const paths = ['a', 'b'].map(name => make(`${home}/${name}.img`, `first of ${name}`))
  fs.writeFileSync(
    config,
    `backend = "all"\n${['a', 'b'].map(name => `[backends.${name}]\nsource = "${name}.img"\n${sizes.join('')}`).join('')}`,
  )
  const mountpoint = folder(t)
  t.teardown(() => {
    if (isMounted(mountpoint)) run('fusermount3', ['-u', '-z', mountpoint])
  })
  const said = start(t, ['mount', '--foreground', '--config', config, mountpoint])
  t.ok(await until(() => said.err.includes('b: attached')), said.err)
  const show = (name: string): string =>
    fs.readFileSync(`${mountpoint}/${name}/console-${name}-0`, 'utf8')
  t.same([show('a'), show('b')], ['first of a', 'first of b'])
  const inode = fs.statSync(`${mountpoint}/a/console-a-0`).ino
  fs.unlinkSync(paths[1]!)
  t.ok(await until(() => said.err.includes('is gone')), said.err)
  t.equal(show('b'), 'first of b', 'what was there is served')
  make(paths[1]!, 'second of b')
  t.ok(await until(() => said.err.includes('was replaced')), said.err)
  t.same([show('a'), show('b')], ['first of a', 'second of b'])
  t.equal(fs.statSync(`${mountpoint}/a/console-a-0`).ino, inode, 'the other one stays')
})
