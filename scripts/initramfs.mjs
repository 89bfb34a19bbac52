#!/usr/bin/env node
/**
 * Copy into a folder what `pstorefs` takes to run in an initramfs: for a hook of initramfs-tools (FOLDER is
 * $DESTDIR) or a module of dracut ($initdir). native-notes/initramfs.md has both.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const image = '/usr/lib/pstorefs.squashfs'
/** A link to where it is mounted, which is beside it. */
const mountpoint = '/run/pstorefs.squashfs'

const help = `initramfs.mjs FOLDER [--squash]

Copy into FOLDER, which becomes an initramfs, what pstorefs takes to run there: Node, stripped if there is strip
(binutils), the libraries that it is linked with, the program and koffi, each under its own path; and
/usr/bin/pstorefs.

  --squash  All of that in one file, ${image}, which /usr/bin/pstorefs mounts below /run when it
            is first run: it takes far less memory. mksquashfs (squashfs-tools) makes it. The initramfs also needs
            the kernel's modules loop and squashfs, where they are not built in, and mount and modprobe, of
            util-linux and kmod or of busybox.
  --help    Show this.

It is for an npm installation, or for a checkout that is built.
`

const project = path.resolve(import.meta.dirname, '..')
const bundle = path.join(project, 'bundle')
const main = path.join(bundle, 'pstorefs.js')
const node = process.execPath

const fail = (status, message) => {
  process.stderr.write(`pstorefs: ${message}\n`)
  process.exit(status)
}

/** What the command line says. */
const readLine = () => {
  const options = { squash: { type: 'boolean' }, help: { type: 'boolean' } }
  try {
    return parseArgs({ options, allowPositionals: true })
  } catch (error) {
    return fail(2, error.message)
  }
}

/** The libraries of compiled files, as ldd names them: `libc.so.6 => /lib/… (0x…)`; and the linker: `/lib64/ld-… (0x…)`. */
const librariesOf = files => {
  const lines = execFileSync('ldd', files, { encoding: 'latin1' })
  const found = pattern => Array.from(lines.matchAll(pattern), ([, library]) => library)
  return { linkers: found(/^\s(\/\S+) \(0x/gm), libraries: found(/ => (\/\S+) \(0x/g) }
}

/** What Node loads of koffi here, and the package.json by which it finds that. */
const koffiFiles = () => {
  const require = createRequire(main)
  require('koffi')
  return Object.keys(require.cache).flatMap(file => [
    file,
    file.replace(/(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\/.*/, '$1/package.json'),
  ])
}

/** Copy files below a folder, each under its own path. */
const copyTo = (folder, files) => {
  for (const file of new Set(files)) {
    const target = path.join(folder, file)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.copyFileSync(file, target)
  }
}

/** Run a tool; false where there is none. */
const run = (tool, args) => {
  try {
    execFileSync(tool, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    return true
  } catch (error) {
    if (error.code === 'ENOENT') return false
    throw error
  }
}

const copyProgram = (folder, files) => {
  copyTo(folder, files)
  if (!run('strip', [path.join(folder, node)]))
    process.stderr.write('pstorefs: no strip here: Node stays 12 MB larger; binutils has it\n')
}

/** Make one file of a folder: the same of the same content, as no file in it is younger than SOURCE_DATE_EPOCH. */
const squash = (folder, target) => {
  const form = ['-comp', 'zstd', '-b', '256K', '-all-root', '-no-xattrs', '-noappend']
  process.env.SOURCE_DATE_EPOCH ??= '0'
  if (!run('mksquashfs', [folder, target, ...form, '-quiet', '-no-progress']))
    throw new Error('--squash takes mksquashfs, which is not here: install squashfs-tools')
}

/** The command that runs a program which lies below `root`. */
const writeCommand = (initramfs, root, before = '') => {
  const command = path.join(initramfs, 'usr/bin/pstorefs')
  fs.mkdirSync(path.dirname(command), { recursive: true })
  const lines = `#!/bin/sh\n${before}exec "${root}${node}" "${root}${main}" "$@"\n`
  fs.writeFileSync(command, lines, { mode: 0o755 })
}

/**
 * Mount the squashfs, where that was not done. Several that start at once each mount it, and go on with the one whose
 * link was first: there need be no flock, and a lock that is a file would outlive who is killed.
 */
const mounting = folders => `root=${mountpoint}
tries=0
until [ -e "$root${node}" ]; do
  own=$root.$$
  mkdir -p $own
  # What is built in is no module: whether these two worked is mount's to say.
  if why=$(modprobe loop 2>&1; modprobe squashfs 2>&1; mount -t squashfs -o ro,loop ${image} $own 2>&1); then
    ln -sn $own $root 2>/dev/null || umount $own
  fi
  rmdir $own 2>/dev/null
  # Of two that start at once busybox's mount may give both the same loop device, and the second none.
  tries=$((tries + 1))
  if [ $tries = 3 ] && [ ! -e "$root${node}" ]; then
    echo "pstorefs: cannot mount ${image} (the initramfs needs the modules loop and squashfs):" $why >&2
    exit 1
  fi
  [ -e "$root${node}" ] || sleep 1
done
export LD_LIBRARY_PATH="${folders.map(folder => `$root${folder}`).join(':')}"
`

const make = (initramfs, squashed) => {
  const parts = fs.readdirSync(bundle).filter(name => name.endsWith('.js') && name !== 'index.js')
  const files = [node, path.join(project, 'package.json'), ...koffiFiles()]
  files.push(...parts.map(name => path.join(bundle, name)))
  const compiled = files.filter(file => file === node || file.endsWith('.node'))
  const { linkers, libraries } = librariesOf(compiled)
  if (!squashed) {
    copyProgram(initramfs, [...files, ...libraries, ...linkers])
    return writeCommand(initramfs, '')
  }
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'pstorefs-'))
  try {
    // Libraries, too: Debian's and Fedora's Node are hardly more than one.
    copyProgram(`${work}/root`, [...files, ...libraries])
    squash(`${work}/root`, `${work}/image`)
    fs.mkdirSync(path.join(initramfs, path.dirname(image)), { recursive: true })
    fs.copyFileSync(`${work}/image`, path.join(initramfs, image))
  } finally {
    fs.rmSync(work, { recursive: true })
  }
  // Programs name it by its path.
  copyTo(initramfs, linkers)
  writeCommand(initramfs, '$root', mounting([...new Set(libraries.map(path.dirname))]))
}

const { values, positionals } = readLine()
if (values.help) {
  process.stdout.write(help)
  process.exit()
}
const [initramfs, ...others] = positionals
const isFolder = initramfs && fs.statSync(initramfs, { throwIfNoEntry: false })?.isDirectory()
if (!isFolder || others.length > 0)
  fail(2, 'say which folder becomes the initramfs; --help says more')
try {
  make(initramfs, values.squash)
} catch (error) {
  fail(1, error.message)
}
