/** The archive, opened by whoever has something for it first, for all whose turn it is. */
import { ArchiveFolder } from '../archive/folder.js'
import { StoreError } from '../pstore/errors.js'

/** For how long another process may have the archive before that is told, in ms. */
const patience = 5000

export class ArchiveTurn {
  #archive: ArchiveFolder | null = null
  /** Since when another process has it. */
  #busySince: number | null = null

  constructor(
    readonly dir: string,
    readonly told: (line: string) => void,
  ) {}

  /**
   * Null while another process has the archive: ask again soon.
   *
   * @throws StoreError where it cannot be used
   */
  open(): ArchiveFolder | null {
    try {
      this.#archive ??= new ArchiveFolder(this.dir, this.told, 0)
      this.#busySince = null
      return this.#archive
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'EBUSY') throw error
      this.#busySince ??= performance.now()
      if (performance.now() - this.#busySince > patience) this.told(error.message)
      return null
    }
  }

  /** Others may have it. */
  end(): void {
    this.#archive?.close()
    this.#archive = null
  }
}
