/** What the kernel refuses on efivarfs: said of the variable, and the others are not harmed. */
import fs from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { ringGuid } from '#src/backends/efi/names.js'
import { pstorefs, pstorefsRefused, run } from '../../program.js'
import { makeFolder, varFile } from './stores.js'

const text = 'Panic#1 Part1\nhello'
const plain = varFile('dump-type0-1-1-1700000000-D')
const packed = varFile('dump-type0-2-1-1700000000-C')
const plainName = 'dmesg-efi_pstore-170000000001001'
const packedName = 'dmesg-efi_pstore-170000000002001'

const make = (t: Test): string =>
  makeFolder(t, { [plain]: text, [packed]: deflate(Buffer.from(text)) })

/** What comes of a command while calls on a file of the folder are refused. */
const refused = (
  made: string,
  file: string,
  rules: string[],
  args: string[],
  input?: string,
): { status: number | null; out: string; error: string } => {
  const { status, stdout, stderr } = pstorefsRefused(
    path.join(made, file),
    rules,
    args,
    input === undefined ? undefined : Buffer.from(input),
  )
  return { status, out: stdout.toString(), error: stderr.replaceAll(`${made}/`, '') }
}

t.test('one that cannot be looked at is not shown, the others are', async t => {
  const made = make(t)
  const { status, out, error } = refused(made, plain, ['statx:error=EACCES'], ['ls', `efi:${made}`])
  t.equal(status, 1)
  t.match(
    error,
    `pstorefs: ${plain}: cannot be looked at: permission denied: the variable dump-type0-1-1-`,
  )
  t.match(out, packedName)
  t.notMatch(out, plainName)
})

t.test('one that cannot be read is shown, and says so when it is', async t => {
  const made = make(t)
  for (const [rule, why] of [
    ['openat:error=EACCES', 'permission denied'],
    ['pread64:error=EIO', 'i/o error'],
  ]) {
    const listed = refused(made, packed, [rule], ['ls', `efi:${made}`])
    t.match(listed.out, `${packedName}.enc.z`, 'as long as nobody knows better')
    t.match(listed.out, plainName)
    t.equal(listed.status, 1)
    t.equal(
      listed.error,
      `pstorefs: ${packed}: cannot be read: ${why}: ${packedName}.enc.z cannot be shown\n`,
    )
    for (const [file, name] of [
      [plain, plainName],
      [packed, `${packedName}.enc.z`],
    ])
      t.match(refused(made, file, [rule], ['cat', `efi:${made}`, name]), {
        status: 1,
        out: '',
        error: `pstorefs: ${file}: cannot be read: ${why}\n`,
      })
    const checked = refused(made, packed, [rule], ['check', `efi:${made}`])
    t.equal(checked.status, 1)
    t.match(checked.out, `cannot be read: ${why}`)
  }
})

t.test('one that goes while it is read is none', async t => {
  const made = make(t)
  for (const rule of ['openat:error=ENOENT', 'pread64:error=ENOENT', 'pread64:retval=3']) {
    for (const [file, gone, other] of [
      [plain, plainName, packedName],
      [packed, packedName, plainName],
    ]) {
      const { status, error } = refused(made, file, [rule], ['cat', `efi:${made}`, gone])
      t.equal(status, 1)
      t.match(error, `has no record ${gone}`, rule)
      const listed = refused(made, file, [rule], ['ls', `efi:${made}`])
      t.match(listed.out, other)
      t.notMatch(listed.out, gone)
    }
    const checked = refused(made, packed, [rule], ['check', `efi:${made}`])
    t.match(checked, { status: 0, out: /: 1 sound\n/ })
  }
})

t.test('an interrupted read is tried again, but not for ever', async t => {
  const made = make(t)
  const cat = ['cat', `efi:${made}`, plainName]
  t.match(refused(made, plain, ['pread64:error=EINTR:when=1..9'], cat), { status: 0, out: text })
  t.match(refused(made, plain, ['pread64:error=EINTR'], cat), {
    status: 1,
    error: `pstorefs: ${plain}: cannot be read: interrupted system call\n`,
  })
})

t.test('one that cannot be made leaves nothing', async t => {
  const made = makeFolder(t, {})
  const file = `tty-0-5-${ringGuid}`
  const write = (rules: string[]): { status: number | null; error: string } =>
    refused(made, file, rules, ['write', 'tty', `efi:${made}`, '--tty-size', '4096'], 'hello')
  for (const [rules, why] of [
    [['openat:error=EACCES'], 'cannot be made: permission denied'],
    [['write:error=ENOSPC'], 'cannot be written: the firmware has no more room for variables'],
    [['write:error=EIO'], 'cannot be written: i/o error'],
    [['write:retval=5'], 'was cut short'],
  ] as const) {
    t.match(write([...rules]), { status: 1, error: `pstorefs: ${file}: ${why}\n` })
    t.same(fs.readdirSync(made), [], why)
  }
  t.match(write(['write:error=EIO', 'unlink:error=EPERM']), { status: 1 })
  t.equal(pstorefs(['ls', `efi:${made}`, '--tty-size', '4096', '--json']).stdout.toString(), '[]\n')
})

t.test('one that cannot be deleted says so', async t => {
  const made = make(t)
  const erase = ['erase', `efi:${made}`, plainName]
  for (const [code, why] of [
    ['EIO', 'i/o error'],
    ['EPERM', 'not permitted'],
  ])
    t.match(refused(made, plain, [`unlink:error=${code}`], erase), {
      status: 1,
      error: `pstorefs: ${plain}: cannot be deleted: ${why}\n`,
    })
  t.match(refused(made, plain, ['unlink:error=ENOENT'], erase), { status: 0, error: '' })
  // Neither are there e2fsprogs everywhere.
  const { PATH = '' } = process.env
  const empty = makeFolder(t, {})
  fs.symlinkSync(String(run('sh', ['-c', 'command -v strace']).stdout).trim(), `${empty}/strace`)
  process.env.PATH = empty
  try {
    t.match(refused(made, plain, ['unlink:error=EPERM'], erase), { status: 1 })
  } finally {
    process.env.PATH = PATH
  }
})

t.test('a folder that nobody may write to', async t => {
  const made = make(t)
  t.match(refused(made, '.', ['access:error=EROFS'], ['erase', `efi:${made}`, plainName]), {
    status: 1,
    error: /is read-only\n$/,
  })
  t.ok(fs.existsSync(path.join(made, plain)))
})

t.test('a folder that cannot be locked, or listed', async t => {
  const errors = new Set<string>()
  // The first look only finds out whose it is, and may fail: then the record goes.
  for (let when = 2; when <= 5; when++) {
    const made = makeFolder(t, { [`tty-0-5-${ringGuid}`]: 'hello' })
    const erase = ['erase', `efi:${made}`, 'tty-efi_pstore-0']
    errors.add(refused(made, '.', [`openat:error=EACCES:when=${when}`], erase).error)
  }
  t.ok(
    [...errors].some(error => error.includes('cannot be locked: permission denied')),
    [...errors].join(),
  )
  t.ok(
    [...errors].some(error => error.includes('cannot be read: permission denied')),
    [...errors].join(),
  )
})
