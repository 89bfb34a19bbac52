/** What crashed: a kernel's log, which a guest wrote. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { nameAddresses } from '#src/crash/addresses.js'
import { endWithin, ownReport } from '#src/crash/earlier.js'
import { linesOfLife } from '#src/crash/lives.js'
import { firstReport } from '#src/crash/report.js'
import { storyOf } from '#src/crash/story.js'
import { contentOf } from '#src/pstore/content.js'
import type { Target } from '../target.js'

const folder = path.resolve(import.meta.dirname, '../../../test/crash/reports')

export const target: Target = {
  seeds: () =>
    fs.readdirSync(folder).map(name => {
      const bytes = fs.readFileSync(path.join(folder, name))
      return bytes.subarray(bytes.indexOf('\n\n') + 2)
    }),
  words: [
    'BUG: ',
    'BUG kmalloc-64 (Not tainted): ',
    'WARNING: ',
    'INFO: rcu_x detected',
    'nable to handle kernel',
    ' [#1]',
    'Kernel panic - not syncing: ',
    'f+0x1/0x2',
    ' from ',
    '::',
    'at: ',
    'Call Trace:\n',
    '[<ffffffff81001210>]',
    ' 0xc0101210 from ',
    'Kernel Offset: 0x1000000 from 0xffffffff81000000',
    'pc : ',
    'RIP: 0010:',
    '[    1.000000]',
    '[   T12]',
    'CPU: 1 PID: 2 Comm: x Not tainted 6.1.0 #1',
  ],
  longest: 1 << 16,
  run(bytes) {
    const { report, lines, start, end: last } = storyOf(bytes)
    assert.ok(start <= last && last <= lines.length)
    for (const { line } of lines) assert.ok(!line.includes('\n'))
    assert.ok(lines.filter(({ guilty }) => guilty).length <= 1)
    // A life's lines are some of the log's, in their order.
    const half = lines.slice(lines.length / 2)
    const places = linesOfLife(half, lines, true).map(line => lines.indexOf(line))
    assert.ok(places.every((place, i) => place > (places[i - 1] ?? -1)))
    // The report behind a time is of the text behind it, whatever lies before.
    const split = bytes.indexOf('\n', bytes.length / 2) + 1
    const end = endWithin(bytes, bytes.subarray(0, split))
    const own = ownReport(bytes, end)
    if (own.earlier && own.report) assert.ok(own.earlier.offset < own.report.offset)
    const names = { start: null, frame: (at: bigint) => (at & 16n ? 'f+0x1/0x2' : null) }
    const named = nameAddresses(bytes, names, bytes)
    assert.ok(named.text.length <= 4 * bytes.length && named.count <= bytes.length / 8)
    if (!report) return
    assert.ok(report.offset < bytes.length)
    const { title, headline, guilty, traces, pid, cpu, uptime } = report
    assert.ok(!title.includes('\n'))
    // No place in a title's form is left open.
    if (!/[{$]/.test(bytes.toString('latin1'))) assert.doesNotMatch(title, /[{$]/)
    assert.ok(title.length > 0 && title.length <= 512 + (guilty?.length ?? 0))
    assert.ok(headline.length <= 4096 && !headline.includes('\n'))
    const frames = traces.flatMap(trace => trace.frames)
    assert.ok(frames.length <= bytes.length)
    for (const { name } of frames) assert.ok(name.length <= 1024 && name.length > 0)
    for (const number of [pid, cpu, uptime]) assert.ok(number === null || number >= 0)
    // It is the text's first, or comes behind warnings.
    const first = firstReport(contentOf(bytes))
    assert.ok(first && first.offset <= report.offset)
  },
}
