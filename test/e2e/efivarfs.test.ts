/**
 * EFI variables where they are at home: in the firmware of a machine that runs Debian's kernel, through
 * efivarfs, beside the kernel's own efi_pstore. It sees what the other wrote, and what is gone.
 */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { vendorGuid } from '#src/backends/efi/names.js'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { folder, run, succeed } from '../program.js'
import { bootGuest, EFIVARS, EMPTY_VARIABLES, skipWithoutGuest } from './guest.js'

const maker = path.resolve(import.meta.dirname, '../../scripts/initramfs.mjs')

/** More dumps than efivarfs lets a user read in a second. */
const many = 120
/** They lie in the past: what is written later has another number. */
const past = 1600000000
const oldText = (n: number): string => `Panic#${n} Part1\n<0>[    1.000000] one of many\n`

const idOf = (n: number): number => (past + n) * 100_000 + 1000 + n

/** Linux 6.1 calls its backend efi, later ones efi_pstore. */
const config = `[backends.efi]\ndriver = "efi"\nsource = "${EFIVARS}"\n`

/** A text of several parts, which does not shrink to one. */
const long = Array.from({ length: 300 }, (_, n) => `<4>[${n}.${(n * n * 7919) % 1e6}] ${n ** 5}\n`)
const short = '<0>[   12.345678] plain, and short\n'

const script = String.raw`
export PATH=$PATH:/usr/bin
vars=${EFIVARS}
for n in $(seq ${many}); do
  { printf '\7\0\0\0'; cat /dumps/$n; } >/variable
  cat /variable >$vars/dump-type0-1-$n-$((${past} + n))-C-${vendorGuid}
done
set -x
names() {
  cut -d ' ' -f 1 | sort
}

pstorefs write dmesg efi </long
pstorefs write dmesg efi --compress none --reason oops </short
modprobe efi_pstore
cd /sys/fs/pstore

# Both show the same, byte for byte.
ls | sort >/linux
pstorefs ls efi | names | cmp /linux -
set +x
pstorefs cat efi $(cat /linux) >/read
cat $(cat /linux) | cmp - /read
set -x

# Users may read no more than 100 variables a second; beyond that efivarfs says EINTR.
su -s /bin/sh nobody -c 'pstorefs ls efi' | names | cmp /linux -

# Linux lets go of two, the last of which is not compressed, and we of one.
rm $(head -n 1 /linux) $(tail -n 1 /linux)
pstorefs erase efi $(sed -n 2p /linux)
sed '1,2d;$d' /linux >/left
pstorefs ls efi | names | cmp /left -
pstorefs check efi
if ls $vars | grep ^dump-type0-1-2-; then exit 1; fi

# A ring, of which Linux guards each variable against being deleted.
ring="--tty-size 2K --writes-per-hour 100000 --batch-seconds 0"
for n in 1 2 3 4; do
  head -c $((690 + n)) /long | tee -a /written | pstorefs write tty efi $ring
done
if rm $vars/tty-*; then exit 1; fi
pstorefs cat efi tty-efi-0 >/ring
size=$(wc -c </ring)
[ $size -gt 1024 -a $size -le 2048 ]
tail -c $size /written | cmp - /ring
pstorefs erase efi tty-efi-0
if ls $vars | grep ^tty-; then exit 1; fi
echo 'the last words' | pstorefs write tty efi $ring
`

const skip =
  skipWithoutGuest() ||
  (!process.env.CI && !fs.existsSync(EMPTY_VARIABLES) && 'no firmware: run scripts/kernel first')

t.test('in a machine with UEFI', { skip }, async t => {
  const home = folder(t)
  const store = `${home}/variables.fd`
  fs.copyFileSync(EMPTY_VARIABLES, store)
  const initramfs = `${home}/initramfs`
  for (const name of ['dumps', 'etc']) fs.mkdirSync(`${initramfs}/${name}`, { recursive: true })
  for (let n = 1; n <= many; n++)
    fs.writeFileSync(`${initramfs}/dumps/${n}`, deflate(Buffer.from(oldText(n))))
  fs.writeFileSync(`${initramfs}/long`, long.join(''))
  fs.writeFileSync(`${initramfs}/short`, short)
  fs.writeFileSync(`${initramfs}/etc/pstorefs.toml`, config)
  fs.writeFileSync(
    `${initramfs}/etc/passwd`,
    'root::0:0::/:/bin/sh\nnobody:*:65534:65534::/:/bin/sh\n',
  )
  const { status, stderr } = run(process.execPath, [maker, initramfs])
  t.equal(status, 0, stderr)

  const { files, log } = await bootGuest({
    efi: store,
    initramfs,
    ram: 512,
    cpus: 2,
    script,
    crash: true,
  })

  // What Linux showed.
  const told = new Map(files.map(file => [file.name, file]))
  for (let n = 3; n <= many; n++) {
    const file = told.get(`dmesg-efi-${idOf(n)}`)
    if (file?.bytes.toString() !== oldText(n)) t.fail(`dump ${n}: ${file?.bytes.toString()}`)
    if (file?.mtime !== `${past + n}.000000000`) t.fail(`dump ${n}: ${file?.mtime}`)
  }
  const shown = files.map(({ bytes }) => bytes.toString())
  const lines = shown.filter(text => /^Panic#\d+ Part\d+\n<4>/.test(text))
  t.ok(lines.length > 3, `${lines.length} parts of the long one`)
  t.ok(
    shown.every(text => !text.includes(short)),
    'it let go of the short one',
  )

  // What the machine left, also as it died.
  const source = `efi:${store}`
  const left = JSON.parse(succeed(t, ['ls', '--json', source]).toString()) as { name: string }[]
  const names = left.map(({ name }) => name)
  const old = names.filter(name => name.startsWith('dmesg-efi_pstore-16')).sort()
  t.same(old, Array.from({ length: many - 2 }, (_, i) => `dmesg-efi_pstore-${idOf(i + 3)}`).sort())
  const last = succeed(t, ['cat', source, ...names.filter(name => !old.includes(name))]).toString()
  t.match(last, 'sysrq: Trigger a crash', log.slice(-2000))
  t.equal(succeed(t, ['cat', source, 'tty-efi_pstore-0']).toString(), 'the last words\n')
})
