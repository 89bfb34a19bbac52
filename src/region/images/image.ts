/** A file that holds a region in another form than byte after byte: what a region reads it through. */

export interface Image {
  /** Bytes that can be read. */
  readonly length: number
  /** The form, for messages: "gzip", "QEMU migration stream". */
  readonly kind: string
  /** What a reader must know of it: a line each, without the path. */
  readonly notes?: readonly string[]
  /** The same of what is damaged or missing in it. */
  readonly doubts?: readonly string[]
  /** A file that holds just these bytes, where there is one: it is open until the image is closed. */
  readonly unpacked?: number
  /**
   * Copy bytes out of it, into the start of a buffer.
   *
   * @throws StoreError (EIO) where the file cannot be read
   */
  read(bytes: Buffer, offset: number, length: number): void
  /** Stretches that hold bytes, as Region.nextData tells them. */
  nextData?(offset: number): { from: number; to: number } | null
  /** Let go of everything but the descriptor that it was opened with. */
  close(): void
}

/** Told how many of a file's bytes have been unpacked. */
export type UnpackProgress = (done: number, total: number) => void

/** What knows one form. */
export interface ImageOpener {
  /** @param head the file's first bytes */
  recognises(head: Buffer): boolean
  /**
   * @param fd stays open as long as the image
   * @throws StoreError where it cannot be read, saying what to do
   */
  open(path: string, fd: number, size: number, progress?: UnpackProgress): Image
}
