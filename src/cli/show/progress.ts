/** A progress bar on the terminal for work that takes longer than a second. */

/** Milliseconds before the bar appears. */
const patience = 1000
/** Milliseconds between two drawings. */
const interval = 100
const width = 30

export interface ProgressBar {
  show: (done: number, total: number) => void
  /** Remove the bar. */
  clear: () => void
}

/** Make a bar on stderr; it never shows where stderr is not a terminal. */
export const progressBar = (what: string): ProgressBar => {
  const start = performance.now()
  let next = start + patience
  let shown = false
  return {
    show: (done, total) => {
      const now = performance.now()
      if (!process.stderr.isTTY || now < next) return
      next = now + interval
      shown = true
      const full = Math.round((done / total) * width)
      const rate = done / 1e6 / (now - start)
      process.stderr.write(
        `\r${what} [${'#'.repeat(full)}${' '.repeat(width - full)}] ` +
          `${Math.floor((done / total) * 100)} % of ${(total / 2 ** 30).toFixed(1)} GiB, ${rate.toFixed(1)} GB/s `,
      )
    },
    clear: () => {
      if (shown) process.stderr.write('\r\x1b[K')
    },
  }
}

/** The same for work whose end nobody knows: how much is done. */
export const progressCount = (what: string): { show(done: number): void; clear(): void } => {
  let next = performance.now() + patience
  let shown = false
  return {
    show: done => {
      const now = performance.now()
      if (!process.stderr.isTTY || now < next) return
      next = now + interval
      shown = true
      process.stderr.write(`\r${done} ${what}`)
    },
    clear: () => {
      if (shown) process.stderr.write('\r\x1b[K')
      shown = false
    },
  }
}
