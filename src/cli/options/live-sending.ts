/** What an archive that is kept by itself sends: what comes, at once; what is left, again after a pause. */
import { StoreError } from '../../pstore/errors.js'
import { sendFrom, type SendingArgs, type SendingOutcome } from './sending.js'

/** What was not sent is tried again after so many ms, at first and at most. */
const [firstPause, longestPause] = [5000, 600_000]
/** What a timer counts to, in ms. A longer one would end at once. */
const longestTimer = 2 ** 31 - 1

export class LiveSending {
  #isSending = false
  /** Something came meanwhile. */
  #isAgain = false
  #pause = firstPause
  #next: NodeJS.Timeout | undefined
  /** Until when the collector wants nothing (Retry-After), as performance.now() says. */
  #quietUntil = 0

  /**
   * @param told the same line may come again and again
   * @param done called after each try, with whether all has been sent
   */
  constructor(
    readonly dir: string,
    readonly args: SendingArgs,
    readonly told: (line: string) => void,
    readonly done: (isAll: boolean) => void,
  ) {}

  /** Something came into the archive. */
  soon(): void {
    this.#isAgain = this.#isSending
    if (!this.#isSending) void this.#send()
  }

  async #send(): Promise<void> {
    this.#isSending = true
    clearTimeout(this.#next)
    // The journal is not made to wait for a collector.
    const isQuiet = this.args.otlp !== undefined && performance.now() < this.#quietUntil
    const { isAll, after } = await this.#sendBy(
      isQuiet ? { ...this.args, otlp: undefined } : this.args,
    )
    this.#isSending = false
    if (after !== null) this.#quietUntil = performance.now() + after
    const isDone = isAll && !isQuiet
    if (!isDone) this.#later()
    if (isDone) this.#pause = firstPause
    else if (!isQuiet) this.#pause = Math.min(longestPause, 2 * this.#pause)
    this.done(isDone)
    if (this.#isAgain) this.soon()
  }

  #later(): void {
    const pause = Math.max(this.#pause, this.#quietUntil - performance.now())
    this.#next = setTimeout(() => this.soon(), Math.min(pause, longestTimer)).unref()
  }

  async #sendBy(args: SendingArgs): Promise<SendingOutcome> {
    try {
      return await sendFrom(this.dir, args)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.told(error.message)
      return { isAll: false, after: null }
    }
  }
}
