/** Terminals for others to write to: what they print is taken, and nothing is typed there. */
import fs from 'node:fs'
import tty from 'node:tty'
import { drain, feed, type Output } from './output.js'
import { modesOf, openTerminal, rawModes, setModes, giveConsoleBack, takeConsole } from './pty.js'

export class Listener {
  /** What others open: `/dev/pts/3`. */
  readonly name: string
  readonly #master: number
  /** Kept open, so that it goes on when its last writer closes it. */
  readonly #slave: number
  readonly #printed: tty.ReadStream
  #hasConsole = false

  /** @throws StoreError (EIO) where the system has no more terminals */
  constructor(readonly output: Output) {
    const { master, name } = openTerminal()
    this.name = name
    this.#master = master
    this.#slave = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_NOCTTY)
    // Bytes come as they were written: what a line end is, is up to the terminal that shows them.
    setModes(this.#slave, rawModes(modesOf(this.#slave)!))
    this.#printed = new tty.ReadStream(master)
    feed(this.#printed, output)
    this.#printed.on('error', () => {})
  }

  /**
   * Get what programs write to /dev/console, until it is closed; also when this process is killed, the
   * console then is what it was.
   *
   * @throws StoreError (EPERM, EBUSY)
   */
  takeConsole(): void {
    takeConsole(this.#slave)
    this.#hasConsole = true
  }

  /** Take what was written until now, and go. */
  close(): void {
    if (this.#hasConsole) giveConsoleBack()
    drain(this.#printed, this.#master, this.output)
    this.output.flush()
    fs.closeSync(this.#slave)
    this.#printed.destroy()
  }
}
