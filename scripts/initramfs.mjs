#!/usr/bin/env node
/**
 * Copy into a folder what `pstorefs tty` takes to run in an initramfs: Node, the libraries that it and the
 * compiled packages are linked with, the program, and its packages but for the optional ones; each under its
 * own path, and /usr/bin/pstorefs. For a hook of initramfs-tools (FOLDER is $DESTDIR) or a module of dracut
 * ($initdir): native-notes/initramfs.md.
 *
 *   scripts/initramfs.mjs FOLDER
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'

const project = path.resolve(import.meta.dirname, '..')
const main = path.join(project, 'bundle/pstorefs.js')
/** What Node loads of a package. */
const loaded = /\.(?:[cm]?js|json|node)$/

const initramfs = process.argv[2]
if (!initramfs || !fs.statSync(initramfs, { throwIfNoEntry: false })?.isDirectory()) {
  process.stderr.write('pstorefs: say which folder becomes the initramfs\n')
  process.exit(2)
}

/** The folder of a package that one in another folder asks for, as Node finds it. */
const findPackage = (name, from) => {
  const folder = path.join(from, 'node_modules', name)
  if (fs.existsSync(folder)) return folder
  return from === '/' ? null : findPackage(name, path.dirname(from))
}

/** Add the packages that one needs, and what they need. */
const addPackages = (folder, packages) => {
  const { dependencies, optionalDependencies } = JSON.parse(
    fs.readFileSync(path.join(folder, 'package.json'), 'utf8'),
  )
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const found = findPackage(name, folder)
    if (!found || packages.has(found)) continue
    packages.add(found)
    addPackages(found, packages)
  }
  return packages
}

/** The files below a folder that Node loads; other packages in it are found on their own. */
const filesOf = folder =>
  fs.readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesOf(file)
    return loaded.test(entry.name) ? [file] : []
  })

/** What the linker loads with a file: `libc.so.6 => /lib/… (0x…)`, and itself. */
const librariesOf = file =>
  Array.from(
    execFileSync('ldd', [file], { encoding: 'latin1' }).matchAll(/(\/\S+) \(0x/g),
    ([, library]) => library,
  )

const files = [process.execPath, path.join(project, 'package.json')]
files.push(...filesOf(path.dirname(main)))
for (const folder of addPackages(project, new Set())) files.push(...filesOf(folder))
const compiled = files.filter(file => file === process.execPath || file.endsWith('.node'))
for (const file of new Set([...files, ...compiled.flatMap(librariesOf)])) {
  const target = path.join(initramfs, file)
  fs.mkdirSync(path.dirname(target), { recursive: true })
  fs.copyFileSync(file, target)
}

const command = path.join(initramfs, 'usr/bin/pstorefs')
fs.mkdirSync(path.dirname(command), { recursive: true })
fs.writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`, { mode: 0o755 })
