/**
 * Make npm-shrinkwrap.json of package-lock.json, with what users install and nothing else: node scripts/shrinkwrap.mjs.
 *
 * npm ignores a package's package-lock.json, and takes an npm-shrinkwrap.json in its tarball. One made by
 * `npm shrinkwrap` would name all that development takes; one in the work tree would be taken instead of the lock. So
 * it is there only while the tarball is made: package.json's prepack and postpack.
 *
 * npm installs all that a package's shrinkwrap has, whatever os and cpu it is for, and nothing that it lacks, needed or
 * not. So koffi's binaries for other systems than Linux are left out, and those for its architectures are not.
 */
import fs from 'node:fs'
import path from 'node:path'

const root = path.resolve(import.meta.dirname, '..')
const { packages, ...lock } = JSON.parse(
  fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8'),
)
const { devDependencies: _, ...own } = packages['']
const installed = Object.entries(packages).filter(
  ([, { dev, devOptional, peer, os = ['linux'] }]) =>
    !dev && !devOptional && !peer && os.includes('linux'),
)
const text = JSON.stringify(
  { ...lock, packages: { ...Object.fromEntries(installed), '': own } },
  null,
  2,
)
fs.writeFileSync(path.join(root, 'npm-shrinkwrap.json'), `${text}\n`)
