/** Tests of the harness: that a real kernel writes to a region, and shows and erases what is there. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { bootGuest, skipWithoutGuest } from './guest.js'

const skip = skipWithoutGuest()

const ramoops = { record_size: 16384, console_size: 16384, ftrace_size: 16384, pmsg_size: 8192 }

/** "DBGC", little-endian: what a zone starts with once a kernel has seen it. */
const SIGNATURE = 0x43474244

t.test('a panic is shown by the next boot, until it is unlinked', { skip }, async t => {
  const region = join(t.testdir(), 'region.img')
  await writeFile(region, Buffer.alloc(128 * 1024))

  const first = await bootGuest({ region, ramoops, crash: true })
  t.same(first.files, [], 'nothing in a region of zeros')
  t.match(first.log, 'sysrq triggered crash')
  t.equal((await readFile(region)).readUInt32LE(0), SIGNATURE, 'the guest wrote to our file')

  const name = 'dmesg-ramoops-0'
  const second = await bootGuest({ region, ramoops, unlink: [name] })
  t.match(second.files, [{ name, mode: 0o100444, uid: 0, gid: 0 }])
  t.equal(second.files.length, 1)
  const [record] = second.files
  t.equal(record!.bytes.toString().split('\n', 1)[0], 'Panic#1 Part1')
  t.equal(record!.size, record!.bytes.length)
  t.match(record!.mtime, /^\d+\.\d{9}$/)
  t.ok(Math.abs(Number(record!.mtime) - Date.now() / 1000) < 600, 'the time of the panic')

  const third = await bootGuest({ region, ramoops })
  t.same(third.files, [], 'what was unlinked is gone')
  t.match(third.release, /^\d+\.\d+\./)
})

t.test('files come out byte for byte, in readdir order', { skip }, async t => {
  // One zone each, unaligned on purpose: the region has a last part of a page.
  const record = 5000
  const sizes = { record_size: 4096, console_size: 4096, ftrace_size: 0, pmsg_size: 4096 }
  const image = Buffer.alloc(record + 4096 + 4096)
  const every = Buffer.from(Array.from({ length: 1024 }, (_, i) => i % 256))
  const zone = (at: number, data: Buffer) => {
    image.writeUInt32LE(SIGNATURE, at)
    image.writeUInt32LE(data.length, at + 4)
    image.writeUInt32LE(data.length, at + 8)
    data.copy(image, at + 12)
  }
  zone(0, Buffer.concat([Buffer.from('====1600000000.123456-D\n'), Buffer.from('Oops#1\n'), every]))
  zone(record, Buffer.concat([every, Buffer.from('console')]))
  zone(record + 4096, Buffer.concat([Buffer.from('\n'), every]))
  const region = join(t.testdir(), 'region, odd.img')
  await writeFile(region, image)

  const { files } = await bootGuest({ region, ramoops: sizes })
  t.same(
    files.map(file => file.name),
    ['pmsg-ramoops-0', 'console-ramoops-0', 'dmesg-ramoops-0'],
  )
  t.same(files[0]!.bytes, Buffer.concat([Buffer.from('\n'), every]))
  t.same(files[1]!.bytes, Buffer.concat([every, Buffer.from('console')]))
  t.same(files[2]!.bytes, Buffer.concat([Buffer.from('Oops#1\n'), every]))
  t.equal(files[2]!.mtime, '1600000000.123456000')

  const after = await readFile(region)
  t.equal(after.length, image.length, 'the file keeps its size')
  t.equal(after.readUInt32LE(record + 8), 0, 'Linux empties console when it attaches')
  t.same(after.subarray(0, record), image.subarray(0, record), 'and leaves dmesg')
})

t.test('scripts run with pstore mounted, and what they print is in the log', { skip }, async t => {
  const region = join(t.testdir(), 'region.img')
  await writeFile(region, Buffer.alloc(64 * 1024))
  const { log } = await bootGuest({
    region,
    ramoops: { ...ramoops, ecc: 1 },
    cpus: 2,
    script: `grep -o 'pstore /sys/fs/pstore' /proc/mounts; echo "it's $(nproc) CPUs"`,
  })
  t.match(log, 'pstore /sys/fs/pstore')
  t.match(log, "it's 2 CPUs")
  t.match(log, /ecc: 16\b/)
})

t.test('a failure in the guest is ours, with its log', { skip }, async t => {
  const region = join(t.testdir(), 'region.img')
  await writeFile(region, Buffer.alloc(64 * 1024))
  await t.rejects(bootGuest({ region, ramoops, script: 'echo so far; false; echo no farther' }), {
    message: /did not list its pstore[^]*so far\n(?![^]*no farther)/,
  })
  await t.rejects(bootGuest({ region, ramoops, unlink: ['dmesg-ramoops-9'] }), {
    message: /dmesg-ramoops-9: No such file/,
  })
  await t.rejects(bootGuest({ region, ramoops, timeout: 200 }), {
    message: /still running after 200 ms/,
  })
})
