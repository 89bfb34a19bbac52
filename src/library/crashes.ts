/** What crashed: the crashes in a store, and what a kernel's log says of one. */
import { diagnose as diagnoseText, type Diagnosis } from '../crash/diagnosis.js'
import { crashesOf as group, type Crash } from '../crash/grouping.js'
import { firstReport as reportIn, type CrashReport } from '../crash/report.js'
import { textOfAll } from '../crash/text.js'
import type { Backend } from '../pstore/backend.js'
import { contentOf } from '../pstore/content.js'
import type { Unreadable } from '../pstore/unreadable.js'

/**
 * The crashes that a store holds, oldest first: each with its dump's parts, and the newest with the rings. What cannot be
 * read is among the crashes' {@link Crash.unreadable}.
 *
 * @example
 * ```ts
 * import { attach, crashesOf, diagnose } from 'pstorefs'
 *
 * const backend = attach('region.img')
 * for (const crash of crashesOf(backend)) console.log(crash.reason, diagnose(crash).title)
 * backend.close()
 * ```
 */
export const crashesOf = (backend: Backend): Crash[] => {
  const unreadable: Unreadable[] = []
  const records = Array.from(backend.records(what => unreadable.push(what)))
  const parts = backend.capacity('dmesg')?.parts ?? false
  return group(records, parts, record => record.open(), unreadable)
}

/**
 * What a crash, or any text of a kernel's log, says of its machine's end. The time is linear in the text's length,
 * whatever the text is.
 *
 * @example
 * ```ts
 * import { diagnose } from 'pstorefs'
 *
 * const { title } = diagnose(Buffer.from('[    1.0] Kernel panic - not syncing: Attempted to kill init!\n'))
 * console.log(title)
 * ```
 */
export const diagnose = (of: Crash | Buffer): Diagnosis =>
  Buffer.isBuffer(of)
    ? diagnoseText(of)
    : diagnoseText(
        textOfAll(of.dumps, record => record.open()),
        of.after,
      )

/**
 * The first report in a kernel's log, with its traces; null where there is none. Time and memory are linear in the
 * text's length.
 *
 * @example
 * ```ts
 * import { attach, firstReport } from 'pstorefs'
 *
 * const backend = attach('region.img')
 * const dump = backend.find('dmesg-ramoops-0')
 * if (dump) console.log(firstReport(dump.read())?.traces)
 * backend.close()
 * ```
 */
export const firstReport = (text: Buffer): CrashReport | null => reportIn(contentOf(text))
