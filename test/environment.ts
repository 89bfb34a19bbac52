/**
 * What a test's process has of whoever runs it: as little as can be. Locale, time zone, umask, shell and all
 * that programs look up in the environment are the same everywhere, or a test fails on one machine only.
 */
import { createRequire } from 'node:module'

/** What says how tests are run, where programs lie, and how packages are fetched. */
const kept =
  /^(PATH|LD_LIBRARY_PATH|HOME|TMPDIR|CI|SEED|OTHER_NODE|ROUNDS|RUNS|SECONDS|PSTOREFS_(?:KERNEL_DIR|COLLECTOR_DIR|SHARED|PROGRAM)|XDG_CACHE_HOME|_?TAP.*|NODE_.*|npm_.*|.*_proxy|SSL_CERT_.*)$/i

for (const name of Object.keys(process.env)) if (!kept.test(name)) delete process.env[name]

Object.assign(process.env, {
  // Not every root has all of them.
  PATH: `${process.env.PATH}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
  // script(1) and tmux run commands by it.
  SHELL: '/bin/sh',
  // A first bash whose input is a socket, as Node's pipes are, reads ~/.bashrc.
  SHLVL: '1',
  // On a terminal that it does not know, bash answers on the line of its prompt.
  TERM: 'xterm',
})
process.umask(0o022)

// tap hooks itself into each program that a test starts, to count its lines. They run as users run them instead:
// 2.5 times as fast, with their own memory. Tests hold the lines that they run themselves (coverage.ts).
const spawned = createRequire(import.meta.url)('process-on-spawn') as { removeAllListeners(): void }
spawned.removeAllListeners()
delete process.env.NODE_OPTIONS
