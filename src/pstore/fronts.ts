/** The places of a store's dumps, as far as their first bytes tell that another dump is there. */
export interface Fronts {
  readonly count: number
  /**
   * A few bytes from a place's front: a header, and a dump's time. They change when a dump comes, or goes.
   *
   * @param into takes {@link frontLength} bytes
   * @throws StoreError (EIO) where the source cannot be read
   */
  load(place: number, into: Buffer): void
}

/** Bytes of a place that are looked at. */
export const frontLength = 64
