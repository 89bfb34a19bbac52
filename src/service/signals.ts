/** Ending as a program does that takes no care of a signal. */

/** Signals that a program which runs until it is ended takes care of: it stores what it has first. */
export const endings = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGPWR',
] as const

/** Die of a signal, also of one that Node ignores or that a handler caught. */
export const dieOf = (signal: NodeJS.Signals): void => {
  const ignore = (): void => {}
  // Without its last listener a signal has its default action, also one that was ignored before.
  process.removeAllListeners(signal).on(signal, ignore).off(signal, ignore)
  process.kill(process.pid, signal)
}
