/**
 * Who imports whom, for the linter and editors: the table of test/rooms.json. test/imports.test.ts holds all of
 * it, lazy imports and the reasons too.
 */
import fs from 'node:fs'
import path from 'node:path'

const root = import.meta.dirname
const rooms = JSON.parse(fs.readFileSync(path.join(root, 'test/rooms.json'), 'utf8'))
const drivers = fs
  .readdirSync(path.join(root, 'src/backends'), { withFileTypes: true })
  .filter(entry => entry.isDirectory())
  .map(entry => entry.name)

/** What the files so deep in a room must not import; the deeper, the more `../` lead out of it. */
const forbidden = (room, allowed, depth) => {
  const up = '../'.repeat(depth)
  const others = Object.keys(rooms).filter(other => other !== room && !allowed.includes(other))
  return {
    // Patterns as in .gitignore: a module that is allowed is taken out again.
    group: [
      ...others.flatMap(other => [`${up}${other}.js`, `${up}${other}/**`]),
      ...allowed.filter(entry => entry.includes('/')).map(entry => `!${up}${entry}.js`),
    ],
    message: `${room} may import ${allowed.join(', ') || 'nothing'} (ARCHITECTURE.md 3).`,
  }
}

const rule = (files, patterns, paths = []) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns, paths }] },
})

/** koffi calls C, which only native/ does; the core does no input and output. */
const pathsOf = room => [
  ...(room === 'native'
    ? []
    : [{ name: 'koffi', message: 'C functions are called in src/native.' }]),
  ...(room !== 'pstore'
    ? []
    : ['node:fs', 'node:child_process', 'node:net', 'node:worker_threads'].map(name => ({
        name,
        message: 'The core does no input and output.',
      }))),
]

/** Folders lie in folders at most so deep. */
const depths = [1, 2, 3]

export default {
  plugins: ['import', 'typescript', 'unicorn', 'oxc'],
  rules: { 'import/no-cycle': ['error', { ignoreTypes: false }] },
  overrides: depths.flatMap(depth => [
    ...Object.entries(rooms).map(([room, allowed]) =>
      rule(
        [`src/${room}${'/*'.repeat(depth)}.ts`],
        [forbidden(room, allowed, depth)],
        pathsOf(room),
      ),
    ),
    ...(depth === 1 ? [] : drivers).map(driver =>
      rule(
        [`src/backends/${driver}${'/*'.repeat(depth - 1)}.ts`],
        [
          forbidden('backends', rooms.backends, depth),
          {
            group: drivers
              .filter(other => other !== driver)
              .map(other => `${'../'.repeat(depth - 1)}${other}/**`),
            message: 'A driver never imports another.',
          },
        ],
        pathsOf('backends'),
      ),
    ),
  ]),
}
