/** Finds where the first report of a text begins, in one pass over it, whatever it is and however long. */
import type { Content } from '../pstore/content.js'
import { chunksOf } from '../pstore/content.js'
import { longestLine } from './lines.js'

/** A report's place in a text. */
export interface Found {
  /** The report, from its first line on, as far as it is looked at. */
  readonly text: string
  /** Where it begins in the content, in bytes. */
  readonly offset: number
  /** `Linux version …`, where the text before has it; else null. */
  readonly banner: string | null
}

/** Characters of a report that are looked at. */
const longestReport = 1 << 18

const utf8 = (latin1: string): string => Buffer.from(latin1, 'latin1').toString('utf8')

/** The kernel's first line, which every boot prints. (init/version.c, linux_banner) */
const bannerIn = (text: string, from: number): string | null => {
  const at = text.indexOf('Linux version ', from)
  return at < 0 ? null : text.slice(at, at + longestLine).split('\n', 1)[0]!
}

/**
 * The first place in a text where a report begins; null where there is none.
 *
 * @param beginning what it begins with; global, and linear
 */
export const findReport = (content: Content, beginning: RegExp): Found | null => {
  let banner: string | null = null
  let window = ''
  let searched = 0
  /** Bytes before the window. */
  let before = 0
  const pieces = chunksOf(content)
  for (let piece = pieces.next(); ; piece = pieces.next()) {
    const passed = Math.max(0, searched - longestLine)
    before += passed
    window = window.slice(passed)
    searched = Math.min(searched, longestLine)
    if (!piece.done) window += piece.value.toString('latin1')
    // A line that goes on in the next piece is looked at with it, if it ends.
    const end = piece.done
      ? window.length
      : Math.max(window.lastIndexOf('\n') + 1, window.length - longestLine)
    banner ??= bannerIn(window, searched)
    beginning.lastIndex = searched
    const hit = beginning.exec(window.slice(0, Math.max(end, searched)))
    if (hit) {
      // What draws on a line, as firmware's progress, ends it with a carriage return.
      const lineEnd = Math.max(
        window.lastIndexOf('\n', hit.index),
        window.lastIndexOf('\r', hit.index),
      )
      const start = Math.max(lineEnd + 1, hit.index - longestLine / 2)
      let text = window.slice(start)
      for (
        let more = pieces.next();
        !more.done && text.length < longestReport;
        more = pieces.next()
      )
        text += more.value.toString('latin1')
      text = text.slice(0, longestReport)
      return { text: utf8(text), offset: before + start, banner }
    }
    if (piece.done) return null
    searched = Math.max(end, searched)
  }
}
