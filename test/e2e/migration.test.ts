/**
 * A stream that QEMU itself makes of a guest that it has not started: its memory, and an NVDIMM's, are files with a
 * region in each. What is shown of the stream is what is shown of the files.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { loadFixture } from '../fixtures.js'
import { saveOf } from '../model/migration.js'
import { file, folder, pstorefs, run, succeed } from '../program.js'

const skip =
  spawnSync('qemu-system-x86_64', ['--version']).status === 0
    ? false
    : 'no qemu-system-x86_64: scripts/kernel installs it'
const M = 2 ** 20
const inMemory = 32 * M
const inNvdimm = 0x10000

/** A file of some size with a fixture's region in it. */
const put = (path: string, size: number, fixture: string, at: number): void => {
  const bytes = loadFixture(fixture).region()
  const fd = fs.openSync(path, 'wx')
  fs.ftruncateSync(fd, size)
  fs.writeSync(fd, bytes, 0, bytes.length, at)
  fs.closeSync(fd)
}

/** A guest's memory, and the stream of the guest that has it. */
const makeStream = (t: Test): { memory: string; dump: string } => {
  const home = folder(t)
  const [memory, nvdimm, dump] = ['memory', 'nvdimm', 'guest.dump'].map(name => `${home}/${name}`)
  put(memory, 64 * M, 'ecc1-all', inMemory)
  put(nvdimm, M, 'all-noecc', inNvdimm)
  const backend = 'memory-backend-file,share=on,id'
  const { status, stdout, stderr } = run(
    'qemu-system-x86_64',
    [
      '-machine pc,memory-backend=pc.ram,nvdimm=on -m 64M,slots=2,maxmem=128M',
      `-object ${backend}=pc.ram,size=64M,mem-path=${memory}`,
      `-object ${backend}=region,size=1M,mem-path=${nvdimm}`,
      '-device nvdimm,memdev=region,addr=0x140000000',
      '-nodefaults -display none -S -monitor stdio',
    ].flatMap(line => line.split(' ')),
    Buffer.from(`migrate "exec:cat > ${dump}"\nquit\n`),
  )
  t.equal(status, 0, `${stdout.toString()}${stderr}`)
  return { memory, dump }
}

t.test("a guest's memory in a stream", { skip }, async t => {
  const { memory, dump } = makeStream(t)
  const stream = fs.readFileSync(dump)
  const saved = file(t, saveOf(stream), 'guest.save')

  const probed = pstorefs(['probe', '--json', dump])
  const { regions } = JSON.parse(probed.stdout.toString()) as {
    regions: { mem_address: number; options: string }[]
  }
  const note =
    / a QEMU migration stream of pc-\S+: offsets are in its RAM blocks, pc\.ram at 0x0, region at (0x[0-9a-f]+),/
  const nvdimm = Number(note.exec(probed.stderr)?.[1])
  t.same(
    regions.map(({ mem_address }) => mem_address),
    [inMemory, nvdimm + inNvdimm],
    probed.stderr,
  )

  const at = ['--mem-address', String(inMemory)]
  const listed = succeed(t, ['ls', memory]).toString()
  for (const source of [dump, saved])
    t.equal(succeed(t, ['ls', source, ...at]).toString(), listed, source)
  t.match(pstorefs(['ls', dump]).stderr, /has 2 regions: say which: --mem-address 0x2000000,/)
  t.same(
    succeed(t, ['cat', saved, 'dmesg-ramoops-0', 'console-ramoops-0', ...at]),
    succeed(t, ['cat', memory, 'dmesg-ramoops-0', 'console-ramoops-0']),
  )
  const { status, stderr } = pstorefs(['erase', dump, 'dmesg-ramoops-0', ...at])
  t.equal(status, 1)
  t.match(stderr, /is read-only|unpack/)
  t.ok(fs.readFileSync(dump).equals(stream), 'and reading has changed nothing')
})
