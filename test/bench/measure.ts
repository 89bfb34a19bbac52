/** Timing two things in turns, so that a noisy machine is noisy for both. */
import fs from 'node:fs'
import path from 'node:path'

/** The median of what a few runs took. */
export const median = (times: number[]): number =>
  times.toSorted((a, b) => a - b)[times.length >> 1]

/**
 * Run each piece of work in turns, three times after a warm-up.
 *
 * @returns the median time of each, in ms
 */
export const inTurns = async (...works: (() => unknown)[]): Promise<number[]> => {
  const times: number[][] = works.map(() => [])
  for (let round = -1; round < 3; round++)
    for (const [i, work] of works.entries()) {
      const start = performance.now()
      await work()
      if (round >= 0) times[i].push(performance.now() - start)
    }
  return times.map(median)
}

/** A folder in memory, so that no disk is measured; gone when the work is done. */
export const inMemory = async (work: (folder: string) => Promise<void>): Promise<void> => {
  const folder = fs.mkdtempSync(path.join('/dev/shm', 'pstorefs-bench-'))
  try {
    await work(folder)
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

export const print = (what: string, figures: string): void => {
  process.stdout.write(`${what.padEnd(46)} ${figures}\n`)
}

/** MB/s for some bytes in some ms. */
export const rate = (bytes: number, ms: number): string => `${(bytes / 1000 / ms).toFixed(0)} MB/s`
