/** What the lookout and its threads say to each other. */
import type { How } from '../archive/run.js'
import type { SourceCandidate } from '../service/plan.js'

/** What a thread is started with. */
export interface Begin {
  readonly dir: string
  readonly how: How
  /** What it is doing, as {@link busyWith}, {@link turns} and {@link over} say. */
  readonly flags: Int32Array<SharedArrayBuffer>
}

/** In the flags: the number of the backend that has its turn, 0 for none; how many turns there were; whether to end. */
export const busyWith = 0
export const turns = 1
export const over = 2

export type Order =
  | { readonly take: readonly { id: number; candidate: SourceCandidate }[] }
  | { readonly drop: readonly number[] }

/** Of a backend by its number; 0 is the archive. */
export type Report = { readonly id: number } & (
  | { readonly say: readonly [folder: string, what: string] }
  | { readonly tell: string }
  | { readonly note: string }
  | { readonly made: readonly string[] }
  | { readonly records: number | null }
  | { readonly calm: true }
)
