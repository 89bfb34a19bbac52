/** `--layout`, `--base`, and what `format` remembers, by the real program: commands, mounts, config files. */
import fs from 'node:fs'
import t from 'tap'
import { makeBlob, u32 } from '../backends/ramoops/blob.js'
import { dump, makeRegion } from '../backends/ramoops/made.js'
import { file, folder, mount, pstorefs, succeed } from '../program.js'

const M = 2 ** 20
const parameters = {
  mem_size: M,
  record_size: 0x10000,
  console_size: 0x20000,
  pmsg_size: 0,
  ftrace_size: 0,
}
const region = makeRegion(parameters, { dmesg0: dump(0), console0: '[    1.000000] hello\n' })
const board = makeBlob({
  'ramoops@80200000': {
    compatible: Buffer.from('ramoops\0'),
    reg: u32(0, 0x80200000, M),
    'record-size': u32(0x10000),
    'console-size': u32(0x20000),
  },
})

t.test('a layout from a file', async t => {
  const source = file(t, region)
  const layout = file(t, board, 'board.dtb')
  const listed = pstorefs(['ls', source, '--layout', layout])
  t.equal(listed.status, 0)
  t.match(listed.stdout.toString(), /^dmesg-ramoops-0 .*\nconsole-ramoops-0 /)
  t.match(
    listed.stderr,
    /^pstorefs: [^\n]*: has the length of the region alone, so it starts at 0 here\n$/,
  )
  const mountpoint = mount(t, source, ['-o', `layout=${layout}`])
  for (const name of ['console-ramoops-0', 'dmesg-ramoops-0'])
    t.ok(fs.readdirSync(mountpoint).includes(name), name)

  const ram = file(t, Buffer.concat([Buffer.alloc(2 * M), region]), 'ram.img')
  const refused = pstorefs(['cat', ram, 'console-ramoops-0', '--layout', layout])
  t.equal(refused.status, 1)
  t.match(refused.stderr, /past its end .*: a dump of just the region starts at 0; --base says /)
  const based = ['--layout', layout, '--base', '0x80000000']
  t.equal(
    succeed(t, ['cat', ram, 'console-ramoops-0', ...based])
      .toString()
      .slice(-6),
    'hello\n',
  )

  const config = `${folder(t)}/pstorefs.toml`
  fs.copyFileSync(layout, `${config}.dtb`)
  fs.writeFileSync(config, `[backends.a]\nsource = "${source}"\nlayout = "pstorefs.toml.dtb"\n`)
  t.match(succeed(t, ['ls', 'a', '--config', config]).toString(), /^dmesg-a-0 /)
})

t.test('probe prints what a config file and --layout take', async t => {
  const source = file(t, region)
  const toml = `${folder(t)}/found.toml`
  fs.writeFileSync(toml, succeed(t, ['probe', source, '--toml']))
  t.match(
    fs.readFileSync(toml, 'utf8'),
    /^\[backends\.ramoops\]\nsource = "\/.*"\nmem_size = 1048576\n/,
  )
  const listed = succeed(t, ['ls', source]).toString()
  t.equal(succeed(t, ['ls', '--config', toml, 'ramoops']).toString(), listed)
  t.equal(succeed(t, ['ls', source, '--layout', toml]).toString(), listed)
  const both = pstorefs(['probe', source, '--toml', '--json'])
  t.same([both.status, both.stderr.match(/Give --json or --toml, not both/)?.length], [2, 1])
})

t.test('what format made is known without options', async t => {
  const made = `${folder(t)}/made.img`
  const [options = '', kernel] = succeed(t, ['format', made, '--mem-size', '1M', '--cpus', '2'])
    .toString()
    .split('\n')
  t.match(options, /^--mem-size 1048576 --record-size 4096 /)
  t.match(kernel, /^ramoops\.mem_address=ADDRESS ramoops\.mem_size=1048576 /)
  succeed(t, ['write', 'pmsg', made], Buffer.from('text\n'))
  const listed = pstorefs(['ls', made])
  t.match(listed, { status: 0, stderr: '' })
  t.match(listed.stdout.toString(), /^pmsg-ramoops-0 /)
  t.same(pstorefs(['ls', made, ...options.split(' ')]).stdout, listed.stdout, 'the same elsewhere')
})

t.test('a description that describes nothing', async t => {
  const line = file(t, Buffer.from('quiet ramoops.mem_size=1M\n'))
  const { status, stderr } = pstorefs(['probe', line])
  t.equal(status, 1)
  t.match(stderr, /`ramoops\.mem_size=1M`: Linux refuses it, and has none: write 1048576\n/)
  t.match(stderr, /is a kernel command line: it describes no ramoops region\n$/)
})
