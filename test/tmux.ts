/** A real terminal for tests: tmux, with a shell in it. */
import { execFileSync } from 'node:child_process'
import type { Test } from 'tap'
import { folder, until } from './program.js'

export interface Terminal {
  /** Type text, and then keys by tmux's names. */
  type(text: string, ...keys: string[]): void
  /** What is on the screen: text, or with colours and attributes. */
  screen(escapes?: boolean): string
  /** Wait for something on the screen. */
  shows(what: RegExp): Promise<boolean>
  resize(columns: number, rows: number): void
  tmux(...args: string[]): string
}

/** A terminal of 80 × 24 with a shell whose prompt is `$ `; gone when the test ends. */
export const terminal = async (t: Test, environment: string[] = []): Promise<Terminal> => {
  const home = folder(t)
  const socket = `${home}/tmux`
  const tmux = (...args: string[]): string =>
    execFileSync('tmux', ['-S', socket, '-f', '/dev/null', ...args]).toString()
  t.teardown(() => tmux('kill-server'))
  tmux(
    'new-session',
    '-d',
    '-x',
    '80',
    '-y',
    '24',
    // What is typed there, perhaps by mistake, writes to no folder of the project's.
    '-c',
    home,
    // Nobody's settings of a shell, of readline or of less.
    `env HOME=${home} INPUTRC=/dev/null PS1='$ ' ${environment.join(' ')} sh`,
  )
  const screen = (escapes = false): string => tmux('capture-pane', '-p', ...(escapes ? ['-e'] : []))
  const made: Terminal = {
    type: (text, ...keys) => {
      if (text) tmux('send-keys', '-l', text)
      if (keys.length) tmux('send-keys', ...keys)
    },
    screen,
    shows: what => until(() => what.test(screen())),
    resize: (columns, rows) => tmux('resize-window', '-x', String(columns), '-y', String(rows)),
    tmux,
  }
  if (!(await made.shows(/^\$/))) t.fail('a shell in tmux')
  return made
}
