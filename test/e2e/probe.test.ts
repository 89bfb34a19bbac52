/** Regions found in a real guest's RAM, and in the core and the migration stream that QEMU makes of it. */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import zlib from 'node:zlib'
import t from 'tap'
import { probeSource } from '#src/index.js'
import { fixtures } from '../fixtures.js'
import { folder, pstorefs, succeed, until } from '../program.js'
import { randomFor } from '../random.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const skip = skipWithoutGuest()
const M = 2 ** 20

/** Where the guest keeps its region, in RAM that it does not use otherwise. */
const address = 0x8000000
const layout = {
  mem_size: 0x20000,
  record_size: 0x4000,
  console_size: 0x4000,
  pmsg_size: 0x2000,
  ftrace_size: 0x4000,
}
const options = Object.entries(layout).flatMap(([name, value]) => [
  `--${name.replaceAll('_', '-')}`,
  String(value),
])

/** Say something to QEMU's monitor, and wait until it has done it. */
const monitor = (socket: string, command: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const connection = net.connect(socket)
    let prompts = 0
    connection.setEncoding('utf8').on('data', (text: string) => {
      prompts += text.split('(qemu) ').length - 1
      if (prompts === 1) connection.write(`${command}\n`)
      if (prompts >= 2) connection.end()
    })
    connection.on('close', () => resolve())
    // `quit` ends the connection too.
    connection.on('error', error => (prompts === 1 ? resolve() : reject(error)))
  })

t.test("a guest's RAM, and QEMU's core and migration stream of it", { skip }, async t => {
  const home = folder(t)
  const ram = `${home}/ram.img`
  const core = `${home}/core.elf`
  const stream = `${home}/stream.qevm`
  const socket = `${home}/monitor`
  const size = 256 * M
  const regionNow = (): Buffer => {
    const bytes = Buffer.alloc(layout.mem_size)
    if (!fs.existsSync(ram)) return bytes
    const fd = fs.openSync(ram, 'r')
    fs.readSync(fd, bytes, 0, bytes.length, address)
    fs.closeSync(fd)
    return bytes
  }
  /** Is there a dump, to its last byte? */
  const hasDump = (): boolean => {
    const now = regionNow()
    const dump = now.subarray(12, 12 + now.readUInt32LE(8))
    try {
      zlib.inflateRawSync(dump.subarray(dump.indexOf('-C\n') + 3))
      return dump.toString('latin1', 0, 4) === '===='
    } catch {
      return false
    }
  }
  const parameters = Object.entries({ mem_address: address, ...layout })
  const guest = bootGuest({
    // It hangs where it panicked, so that its memory can be dumped.
    cmdline: `memmap=128K$0x${address.toString(16)} panic=0`,
    script: `modprobe ramoops ${parameters.map(([name, value]) => `${name}=${value}`).join(' ')}`,
    crash: true,
    qemu: [
      '-object',
      `memory-backend-file,id=ram,size=${size},mem-path=${ram},share=on`,
      '-machine',
      'memory-backend=ram',
      '-monitor',
      `unix:${socket},server=on,wait=off`,
    ],
  })
  guest.catch(() => {})
  t.ok(await until(hasDump, 500), 'the guest has written a dump')
  await monitor(socket, `dump-guest-memory ${core}`)
  await monitor(socket, `migrate "exec:cat > ${stream}"`)
  await monitor(socket, 'quit')
  const { release } = await guest
  // The order says which kernel it was. How long its empty last zone is, nothing says.
  const [major, minor] = release.split('.').map(Number)
  const old = major < 6 || (major === 6 && minor < 2)
  const order = old
    ? ['dmesg', 'console', 'ftrace', 'pmsg']
    : ['dmesg', 'console', 'pmsg', 'ftrace']

  for (const source of [ram, core, stream]) {
    const name = path.basename(source)
    const { regions } = probeSource(source)
    t.equal(regions.length, 1, `${name}: one region`)
    const [region] = regions
    t.match(region, { ...layout, order, endian: 'little', ecc: 0, cpus: 1, certain: false })
    t.ok(region.open.includes(old ? 'pmsg_size' : 'ftrace_size'))
    if (source !== core) t.equal(region.mem_address, address)
    else t.match(region.evidence.join(), `address 0x${address.toString(16)}`)
    const preset = ['--preset', old ? 'linux-pre-6.2' : 'linux-6.2']
    const found = ['--mem-address', String(region.mem_address)]
    const listed = JSON.parse(succeed(t, ['ls', '--json', source]).toString()) as { name: string }[]
    t.same(
      listed.map(({ name }) => name),
      ['dmesg-ramoops-0'],
      'its records are listed without a layout',
    )
    t.same(
      succeed(t, ['cat', source, 'dmesg-ramoops-0']),
      succeed(t, ['cat', source, 'dmesg-ramoops-0', ...found, ...options, ...preset]),
      'and read',
    )
    t.match(pstorefs(['erase', source, 'dmesg-ramoops-0']).stderr, /guessed layout/)
  }

  // What other kernels left, amid what this one has in its RAM.
  const random = randomFor(t)
  const fd = fs.openSync(ram, 'r+')
  t.teardown(() => fs.closeSync(fd))
  fs.writeSync(fd, Buffer.alloc(layout.mem_size), 0, layout.mem_size, address)
  const all = fixtures().filter(
    f => f.backend === 'ramoops' && /-all$|^layout-odd|^ftrace-percpu/.test(f.name),
  )
  for (const fixture of all) {
    const bytes = fixture.region()
    const at = 4096 * random.between(256, (size - bytes.length) / 4096 - 1)
    const before = Buffer.alloc(bytes.length)
    fs.readSync(fd, before, 0, before.length, at)
    fs.writeSync(fd, bytes, 0, bytes.length, at)
    const { regions } = probeSource(ram)
    t.same(
      regions.map(({ mem_address, record_size }) => [mem_address, record_size]),
      [[at, fixture.layout.record_size && 2 ** Math.floor(Math.log2(fixture.layout.record_size))]],
      `${fixture.name} at 0x${at.toString(16)}`,
    )
    fs.writeSync(fd, before, 0, before.length, at)
  }
})
