/** A terminal that other programs print to. Its output is taken; nothing is typed there. */
import fs from 'node:fs'
import { Printed, type Output } from './output.js'
import { modesOf, openTerminal, rawModes, setModes, giveConsoleBack, takeConsole } from './pty.js'

export class Listener {
  /** The path that other programs open: `/dev/pts/3`. */
  readonly name: string
  /** Kept open, so that the terminal survives its last writer. */
  readonly #slave: number
  readonly #printed: Printed
  #hasConsole = false

  /** @throws StoreError (EIO) where the system has no more terminals */
  constructor(readonly output: Output) {
    const { master, name } = openTerminal()
    this.name = name
    this.#slave = fs.openSync(name, fs.constants.O_RDWR | fs.constants.O_NOCTTY)
    // Raw: line ends are up to the terminal that shows the bytes.
    setModes(this.#slave, rawModes(modesOf(this.#slave)!))
    this.#printed = new Printed(master, output)
  }

  /**
   * Take the output to /dev/console until {@link close}. The console is restored when this process is
   * killed, too.
   *
   * @throws StoreError (EPERM, EBUSY)
   */
  takeConsole(): void {
    takeConsole(this.#slave)
    this.#hasConsole = true
  }

  /** Take the output so far, and close the terminal. */
  close(): void {
    if (this.#hasConsole) giveConsoleBack()
    this.#printed.finish()
    this.output.flush()
    fs.closeSync(this.#slave)
    this.#printed.close()
  }
}
