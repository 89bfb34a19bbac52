/**
 * How well crashes are named: node scripts/titles.mjs FOLDER|TAR [--list]. Each file of it is a kernel's report
 * with `TITLE: …` among its first lines, an empty line, and the log. Build first.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

const { contentOf } = await import('../dist/pstore/content.js')
const { firstReport } = await import('../dist/crash/report.js')

const { values, positionals } = parseArgs({
  options: { list: { type: 'boolean', default: false } },
  allowPositionals: true,
})
if (positionals.length !== 1) {
  console.error('usage: node scripts/titles.mjs FOLDER|TAR [--list]')
  process.exit(2)
}

/** The files below a folder, or in a tar. */
const filesOf = source => {
  if (fs.statSync(source).isDirectory())
    return fs
      .readdirSync(source, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => path.join(entry.parentPath, entry.name))
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pstorefs-titles-'))
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  execFileSync('tar', ['-xf', path.resolve(source), '-C', folder])
  return filesOf(folder)
}

const cases = filesOf(positionals[0]).map(file => {
  const bytes = fs.readFileSync(file)
  const end = bytes.indexOf('\n\n')
  const wanted = /^TITLE: (.*)$/m.exec(bytes.subarray(0, end).toString())?.[1]?.trim()
  return { file, wanted, found: firstReport(contentOf(bytes.subarray(end + 2)))?.title ?? null }
})

let right = 0
for (const { file, wanted, found } of cases) {
  if (wanted === found) right++
  else if (values.list) console.log(`${path.basename(file)}\n  wanted ${wanted}\n  found  ${found}`)
}
const pairs = { same: 0, agree: 0, different: 0, share: 0 }
cases.forEach((a, i) => {
  for (const b of cases.slice(i + 1)) {
    const one = a.found !== null && a.found === b.found
    if (a.wanted === b.wanted) {
      pairs.same++
      if (one) pairs.agree++
    } else {
      pairs.different++
      if (one) pairs.share++
    }
  }
})
const percent = (part, whole) =>
  `${part} of ${whole} (${((100 * part) / (whole || 1)).toFixed(2)} %)`
console.log(`titles exactly right:               ${percent(right, cases.length)}`)
console.log(`pairs of one title that agree:      ${percent(pairs.agree, pairs.same)}`)
console.log(`pairs of different titles that share one: ${percent(pairs.share, pairs.different)}`)
