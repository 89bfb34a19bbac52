/** A region written here, attached by a real kernel: it shows the files and bytes that `cat` shows here. */
import fs from 'node:fs'
import t from 'tap'
import { folder, pstorefs, succeed } from '../program.js'
import { randomFor } from '../random.js'
import { bootGuest, skipWithoutGuest } from './guest.js'

const skip = skipWithoutGuest()

/** The kernel's parameters; Debian 12's (6.1) has the order of before 6.2. */
const sizes = { record_size: 16384, console_size: 16384, ftrace_size: 4096, pmsg_size: 8192 }
const memSize = 128 * 1024

for (const ecc of [0, 16, 32])
  t.test(`ecc ${ecc}`, { skip }, async t => {
    const random = randomFor(t)
    const region = `${folder(t)}/region.img`
    const ramoops = { ...sizes, ecc }
    const options = [
      '--preset',
      'linux-pre-6.2',
      ...Object.entries(ramoops).flatMap(([name, value]) => [
        `--${name.replace('_', '-')}`,
        String(value),
      ]),
    ]
    const write = (args: string[], text: Uint8Array): void => {
      succeed(t, ['write', ...args, region, ...options], text)
    }
    succeed(t, ['format', region, '--mem-size', String(memSize), ...options])
    const log = (name: string, lines: number): Buffer =>
      Buffer.from(
        Array.from(
          { length: lines },
          (_, i) => `<6>[    ${i}.${random.between(100000, 999999)}] ${name}: line ${i}\n`,
        ).join(''),
      )
    // A console that has wrapped, by several writers; binary pmsg.
    for (let i = 0; i < 3; i++) write(['console'], log('console', 200))
    write(['pmsg'], random.bytes(3000))
    // Compressed, plain, and what does not compress and does not fit.
    write(['dmesg', '--reason', 'oops'], log('oops', 500))
    write(['dmesg', '--reason', 'oops', '--compress', 'none'], log('plain', 100))
    write(['dmesg', '--reason', 'oops'], random.bytes(60_000))
    write(['dmesg', '--reason', 'panic'], log('panic', 2000))

    const list = JSON.parse(succeed(t, ['ls', '--json', region, ...options]).toString()) as {
      name: string
      size: number
      mtime: string | null
    }[]
    t.same(
      list.map(({ name }) => name),
      [
        'dmesg-ramoops-0',
        'dmesg-ramoops-1',
        'dmesg-ramoops-2',
        'dmesg-ramoops-3',
        'console-ramoops-0',
        'pmsg-ramoops-0',
      ],
    )
    const own = list.map(({ name }) => succeed(t, ['cat', region, name, ...options]))

    const erased = 'dmesg-ramoops-1'
    const guest = await bootGuest({ region, ramoops, unlink: [erased] })
    t.same(
      guest.files.map(({ name }) => name),
      list.map(({ name }) => name).toReversed(),
      'in its order',
    )
    for (const [i, { name, size, mtime }] of list.entries()) {
      const file = guest.files.find(file => file.name === name)
      if (!file) continue
      t.same([file.size, file.mode, file.uid, file.gid], [size, 0o100444, 0, 0], name)
      if (mtime !== null) t.equal(file.mtime, mtime, `${name}: its time`)
      t.ok(file.bytes.equals(own[i]), `${name}: its bytes`)
    }

    // What the guest unlinked is gone here; what it zapped on attaching too; the dumps are as they were.
    const after = JSON.parse(succeed(t, ['ls', '--json', region, ...options]).toString()) as {
      name: string
    }[]
    t.same(
      after.map(({ name }) => name),
      ['dmesg-ramoops-0', 'dmesg-ramoops-2', 'dmesg-ramoops-3'],
    )
    t.same(succeed(t, ['cat', region, 'dmesg-ramoops-3', ...options]), own[3])
    // And what is erased here is gone there.
    t.equal(pstorefs(['erase', region, 'dmesg-ramoops-0', ...options]).status, 0)
    const second = await bootGuest({ region, ramoops })
    t.same(
      second.files.map(({ name }) => name),
      ['dmesg-ramoops-3', 'dmesg-ramoops-2'],
    )
    t.equal(fs.statSync(region).size, memSize)
  })
