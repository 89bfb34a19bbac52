/** Pruning an archive that is kept by itself: bit by bit, and while nobody else has it. */
import { ArchiveFolder } from '../archive/folder.js'
import type { Pruner } from '../archive/prune.js'
import { StoreError } from '../pstore/errors.js'

/** How many crashes go at a time. */
const atATime = 32
/** When it is gone on with, in ms. */
const pause = 100
/** How often it is looked whether a crash has become too old, in ms. */
const interval = 60_000

export class Pruning {
  #isDue = false

  /** @param told the same line may come again and again */
  constructor(
    readonly dir: string,
    readonly pruner: Pruner,
    readonly say: (folder: string, what: string) => void,
    readonly told: (line: string) => void,
  ) {
    setInterval(() => this.soon(), interval).unref()
  }

  /** Something came into the archive. */
  soon(): void {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => this.#run(), pause).unref()
  }

  #run(): void {
    this.#isDue = false
    let isDone = true
    try {
      const archive = new ArchiveFolder(this.dir, this.told, 0)
      try {
        isDone = !this.pruner.prune(archive, this.say, this.told, atATime)
      } finally {
        archive.close()
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (error.code === 'EBUSY') isDone = false
      else this.told(`not pruned: ${error.message}`)
    }
    if (!isDone) this.soon()
  }
}
