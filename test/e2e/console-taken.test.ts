/**
 * A machine whose console `tty` takes: Debian's kernel, and an initramfs with Node and the program in it.
 * What is printed goes to all kinds of stores that a machine has of its own, as /etc/pstorefs.toml has them.
 */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { attach, format } from '#src/index.js'
import { folder, run, where } from '../program.js'
import { bootGuest, REGION_ADDRESS, skipWithoutGuest } from './guest.js'

const skip = skipWithoutGuest()
const skipWithoutSquash = where('mksquashfs') ? false : 'no mksquashfs: install squashfs-tools'
const maker = path.resolve(import.meta.dirname, '../../scripts/initramfs.mjs')

/**
 * The initramfs may take more than half of it. Memory beyond 4 GiB, which a capture kernel does not have, would have
 * the guest set some apart for DMA.
 */
const cmdline = 'rootfstype=ramfs swiotlb=noforce'

const size = 65536
const rings = { record_size: 0, console_size: 0, pmsg_size: 0, ftrace_size: 0, tty_size: 32768 }
const withParity = { ...rings, ecc: 16 }
/** Where QEMU puts a PCI device whose memory is a file, and Linux shows it. */
const slot = '10'
const pci = `/sys/bus/pci/devices/0000:00:${slot}.0`

/** The guest's config file. */
const config = Object.entries({
  memory: { source: '/dev/mem', mem_address: REGION_ADDRESS, mem_size: size, ...withParity },
  pci: { source: `${pci}/resource2`, ...withParity },
  disk: { source: '/dev/vda', ...rings },
})
  .map(([name, values]) => {
    const lines = Object.entries(values).map(
      ([key, value]) => `${key} = ${JSON.stringify(value)}\n`,
    )
    return `[backends.${name}]\n${lines.join('')}`
  })
  .join('')

/** Byte for byte what each store has to hold after the whole script. */
const expected = [
  'a\tb \x1b[31mred\x1b[0m\nprompt> ',
  'for the journal\n',
  'pstorefs: /dev/console: already taken by another program\n',
  'and ended\n',
  'from a command\r\n',
  'taken again\n',
  'the last words\n',
]
/** How many bytes are kept once the expected text was printed up to this line. */
const after = (line: string): number =>
  expected.slice(0, expected.findIndex(text => text.includes(line)) + 1).join('').length

const lastWords = expected.at(-1)!

/** How a guest begins. Its own output goes to /dev/console, as that of any early program. */
const beginning = String.raw`
export PATH=$PATH:/usr/bin
echo 1 >${pci}/enable
mkdir /dev/pts
mount -t devpts devpts /dev/pts
# The link is there once the console is taken.
take() {
  rm -f /run/pstorefs/journal-tty
  pstorefs tty --backend all --console --journal-tty &
  until [ -e /run/pstorefs/journal-tty ]; do sleep 0.1; done
}
# Wait until the zone on the disk, which is the last store, has this size.
kept() {
  until [ "$(od -An -t u4 -j 8 -N 4 /dev/vda | tr -d ' ')" = $1 ]; do sleep 0.1; done
}
`
const theEnd = `
take
echo '${lastWords.trim()}'
sleep 600
`
/** All that a console goes through. */
const script = String.raw`${beginning}
echo 'not taken yet'
take
printf 'a\tb \033[31mred\033[0m\nprompt> '
echo 'from the kernel' >/dev/kmsg
kept ${after('prompt')}
echo 'for the journal' >/run/pstorefs/journal-tty
kept ${after('journal')}
pstorefs tty --backend all --console || echo 'and ended'
kill $!
wait $! || echo "status $?"
echo 'given back by itself'

pstorefs tty --backend all -- sh -c 'echo "from a command"; exit 3' || echo "status $?"

take
echo 'taken again'
kept ${after('taken again')}
kill -9 $!
wait $! || echo "status $?"
echo 'given back by the kernel'

${theEnd}`

/**
 * Boot an initramfs that was made with these options, in so many MiB, and cut the power at the last words: then each
 * store has this content. What is printed.
 */
const bootAndCut = async (
  t: Test,
  options: string[],
  ram: number,
  script: string,
  content: string,
): Promise<string> => {
  const home = folder(t)
  const make = (name: string, layout: typeof rings): string => {
    const file = `${home}/${name}.img`
    format(file, { ...layout, mem_size: size })
    return file
  }
  const memory = make('memory', withParity)
  const bar = make('pci', withParity)
  const disk = make('disk', rings)
  const initramfs = `${home}/initramfs`
  fs.mkdirSync(`${initramfs}/etc`, { recursive: true })
  fs.writeFileSync(`${initramfs}/etc/pstorefs.toml`, config)
  const { status, stderr } = run(process.execPath, [maker, initramfs, ...options])
  t.equal(status, 0, stderr)

  const { log } = await bootGuest({
    region: memory,
    ramoops: null,
    disk,
    blk: null,
    qemu: [
      '-object',
      `memory-backend-file,id=bar,share=on,mem-path=${bar},size=${size}`,
      '-device',
      `ivshmem-plain,memdev=bar,addr=0x${slot}`,
    ],
    initramfs,
    ram,
    cmdline,
    cpus: 2,
    script,
    powerCut: new RegExp(lastWords),
    timeout: 600_000,
  })

  for (const [file, layout] of [
    [memory, withParity],
    [bar, withParity],
    [disk, rings],
  ] as const) {
    const backend = attach(file, { ...layout, readOnly: true })
    t.equal(
      backend.survey.raw('tty-ramoops-0')!.toString('latin1'),
      content,
      `byte for byte: ${path.basename(file)}`,
    )
    backend.close()
  }
  return log
}

t.test('what is printed on the console is kept when the power goes', { skip }, async t => {
  const log = await bootAndCut(t, [], 256, script, expected.join(''))
  t.match(log, /\[ *\d+\.\d{6}\] from the kernel\n/, 'the kernel prints where it did')
  // What it says comes in between.
  const shown = log.replaceAll(/\[ *\d+\.\d{6}\] .*\n/g, '').replaceAll('\r', '')
  for (const passedOn of [
    `not taken yet\n${expected[0]}${expected[2]}and ended\n`,
    'status 143\ngiven back by itself\nfrom a command\nstatus 3\n',
    'status 137\ngiven back by the kernel\nthe last words\n',
  ])
    t.ok(shown.includes(passedOn), `shown as ever: ${JSON.stringify(passedOn)}`)
})

t.test('so it is with less memory, from a squashfs', { skip: skip || skipWithoutSquash }, t =>
  bootAndCut(t, ['--squash'], 160, `${beginning}${theEnd}`, lastWords),
)
