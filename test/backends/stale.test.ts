/** Sources of which fstat(2) tells nothing any more, as on a network whose server has gone: somebody's to mend. */
import fs from 'node:fs'
import t from 'tap'
import { attach, format, StoreError, type AttachOptions } from '#src/index.js'
import { makeErst } from '#src/backends/erst/mkfs.js'
import { holdsVariables } from '#src/backends/efi/variable-folder.js'
import { file, folder } from '../program.js'
import { makeFolder, makeStore, varFile } from './efi/stores.js'

const { fstatSync, opendirSync } = fs
t.afterEach(() => Object.assign(fs, { fstatSync, opendirSync }))

/** What Node makes of an errno that libuv has no name for. */
const stale = (): Error =>
  Object.assign(new Error('Unknown system error -116, fstat'), {
    code: 'Unknown system error -116',
    errno: -116,
  })

/** From the n-th call on. */
const failFrom = (n: number): void => {
  let calls = 0
  Object.assign(fs, {
    fstatSync: (...args: Parameters<typeof fstatSync>) => {
      if (++calls >= n) throw stale()
      return fstatSync(...args)
    },
  })
}

const dump = { name: 'dump-type0-1-1-1700000000-D', data: 'Panic#1 Part1\n' }
const json = {
  version: 2,
  variables: [
    { guid: 'cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0', name: dump.name, attr: 7, data: '41' },
  ],
}
const rings = { console_size: 4096, pmsg_size: 0, ftrace_size: 0 }

const sources: [what: string, source: string, options: AttachOptions][] = [
  ['ramoops', `ramoops:${folder(t)}/a.img`, { record_size: 4096, ...rings }],
  ['zone', `zone:${folder(t)}/a.img`, { kmsg_size: 4096, ...rings }],
  ['erst', `erst:${folder(t)}/a.img`, { console_size: 4096 }],
  ['a store of variables', `efi:${file(t, makeStore([dump]).bytes, 'VARS.fd')}`, {}],
  ['a list of variables', `efi:${file(t, Buffer.from(JSON.stringify(json)), 'vars.json')}`, {}],
  [
    'a folder of variables',
    `efi:${makeFolder(t, { [varFile(dump.name)]: dump.data })}`,
    { console_size: 4096 },
  ],
  ['copies', `records:${makeFolder(t, { 'dmesg-ramoops-0': dump.data })}`, {}],
]

for (const [what, source, options] of sources)
  t.test(what, async t => {
    if (source.endsWith('a.img')) {
      const { console_size: _, ...layout } = options
      format(source, { ...(source.startsWith('erst') ? layout : options), mem_size: 65536 })
    }
    const messages = new Set<string>()
    for (let n = 1, done = false; !done; n++) {
      failFrom(n)
      try {
        const backend = attach(source, options)
        try {
          for (const record of backend.records()) record.read()
          backend.doubts()
          if (!backend.readOnly) backend.write({ type: 'console', bytes: Buffer.from('text\n') })
          done = true
        } finally {
          backend.close()
        }
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        messages.add(error.message.replace(/.*: (?=stale)/, ''))
      }
      if (n > 100) throw new Error('it never works')
    }
    t.same([...messages], ['stale file handle: its server has another file there by now, or none'])
  })

t.test('a folder that cannot be read on', async t => {
  Object.assign(fs, {
    opendirSync: () => ({
      readSync: () => {
        throw stale()
      },
      closeSync: () => {},
    }),
  })
  t.throws(() => holdsVariables('/nowhere'), { name: 'StoreError', code: 'EIO', message: /stale/ })
})

t.test('a place for a store that is none', async t => {
  const path = `${file(t, Buffer.from('x'))}/below`
  t.throws(() => makeErst(path, 65536), { name: 'StoreError', code: 'ENOENT' })
})
