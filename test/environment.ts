/**
 * What a test's process has of whoever runs it: as little as can be. Locale, time zone, umask, shell and all
 * that programs look up in the environment are the same everywhere, or a test fails on one machine only.
 */

/** What says how tests are run, where programs lie, and how packages are fetched. */
const kept =
  /^(PATH|LD_LIBRARY_PATH|HOME|TMPDIR|CI|SEED|OTHER_NODE|ROUNDS|RUNS|SECONDS|PSTOREFS_KERNEL_DIR|XDG_CACHE_HOME|_?TAP.*|NODE_.*|npm_.*|.*_proxy|SSL_CERT_.*)$/i

for (const name of Object.keys(process.env)) if (!kept.test(name)) delete process.env[name]

Object.assign(process.env, {
  // Not every root has all of them.
  PATH: `${process.env.PATH}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  LC_ALL: 'C.UTF-8',
  TZ: 'UTC',
  // script(1) and tmux run commands by it.
  SHELL: '/bin/sh',
  // On a terminal that it does not know, bash answers on the line of its prompt.
  TERM: 'xterm',
})
process.umask(0o022)
