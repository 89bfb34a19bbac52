/**
 * Fails where the tests that have just run left a line or a branch of these folders out, and lists which.
 * Reads what `tap --coverage-report=json` wrote.
 */
import fs from 'node:fs'
import path from 'node:path'

/** A file in istanbul's format, as far as it is used here. */
interface FileCoverage {
  path: string
  statementMap: { [id: string]: { start: { line: number } } }
  s: { [id: string]: number }
  branchMap: { [id: string]: { locations: { start: { line: number } }[] } }
  b: { [id: string]: number[] }
}

const folders = ['src/backends/', 'src/pstore/', 'src/region/zoned.ts', 'src/tree/']

const root = path.resolve(import.meta.dirname, '..')
const report = path.join(root, '.tap/report/coverage-final.json')
const files = Object.values(
  JSON.parse(fs.readFileSync(report, 'utf8')) as { [path: string]: FileCoverage },
).map(file => ({ ...file, path: path.relative(root, file.path) }))

/** V8 counts in 32 bits: what ran billions of times may have a number below 0. */
const never = (count: number): boolean => count === 0

/** The lines that did not run, or not in all ways. */
const leftOut = ({ s, statementMap, b, branchMap }: FileCoverage): Set<number> =>
  new Set([
    ...Object.keys(s)
      .filter(id => never(s[id]))
      .map(id => statementMap[id].start.line),
    ...Object.keys(b).flatMap(id =>
      branchMap[id].locations.filter((_, i) => never(b[id][i])).map(({ start }) => start.line),
    ),
  ])

for (const folder of folders) {
  const own = files
    .filter(({ path }) => path.startsWith(folder))
    .map(file => ({ path: file.path, lines: leftOut(file) }))
  const incomplete = own.filter(({ lines }) => lines.size > 0)
  for (const { path, lines } of incomplete)
    console.log(`${path}: not in all ways: ${[...lines].join(', ')}`)
  // Nothing at all is no good news.
  const isWhole = own.length > 0 && incomplete.length === 0
  console.log(`${folder}: ${isWhole ? '' : 'less than '}100 % of lines and branches`)
  if (!isWhole) process.exitCode = 1
}
