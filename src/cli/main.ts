#!/usr/bin/env node
/** The program's start: what says nothing but its version loads nothing else. */
import fs from 'node:fs'
import { version } from './version.js'

const isVersionSaid = (): boolean => {
  const [first = '', ...others] = process.argv.slice(2)
  if (others.length > 0 || !['--version', '-V'].includes(first)) return false
  try {
    return fs.writeSync(1, `${version}\n`) > 0
  } catch {
    // What is wrong with stdout is said as of every command.
    return false
  }
}
/** Where the working folder is gone its name is one that the kernel knows: paths in it are missing files, others work. */
const workingFolder = process.cwd
process.cwd = () => {
  try {
    return workingFolder()
  } catch {
    return '/proc/self/cwd'
  }
}

if (!isVersionSaid())
  import('./run.js').catch((error: Error) => {
    process.stderr.write(`pstorefs: cannot be loaded: ${error.message}\n`)
    process.exit(1)
  })
