/** Ending as a program does that takes no care of a signal. */

/** Die of a signal, also of one that Node ignores or that a handler caught. */
export const dieOf = (signal: NodeJS.Signals): void => {
  const ignore = (): void => {}
  // Without its last listener a signal has its default action, also one that was ignored before.
  process.removeAllListeners(signal).on(signal, ignore).off(signal, ignore)
  process.kill(process.pid, signal)
}
