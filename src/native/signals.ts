/** Signals that end a program. */

/** Signals that ask a program to end. One that runs until then stores its text first. */
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

/**
 * All signals that end a program by default and that Node can catch. A terminal session passes each of them
 * to its command, as if the command had been signalled itself. A program without a command does not catch
 * the ones that are added here: they tell of a fault or a limit of its own.
 */
export const deadly = [
  ...endings,
  'SIGVTALRM',
  'SIGIO',
  'SIGXCPU',
  'SIGSTKFLT',
  'SIGSYS',
  'SIGTRAP',
  'SIGABRT',
] as const

/** Die of a signal, also of one that Node ignores or that a handler caught. */
export const dieOf = (signal: NodeJS.Signals): void => {
  const ignore = (): void => {}
  // Without its last listener a signal has its default action, even if it was ignored before.
  process.removeAllListeners(signal).on(signal, ignore).off(signal, ignore)
  process.kill(process.pid, signal)
}
