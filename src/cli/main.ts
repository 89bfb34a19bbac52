#!/usr/bin/env node
/** The program's start: what says nothing but its version loads nothing else. */
import { version } from './version.js'

const [first = '', ...others] = process.argv.slice(2)
if (others.length === 0 && ['--version', '-V'].includes(first)) process.stdout.write(`${version}\n`)
else void import('./run.js')
