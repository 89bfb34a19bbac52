/** EFI variables in QEMU's JSON and in AWS's blob, by the program; and as virt-fw-vars converts a real guest's. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import t from 'tap'
import { attach } from '#src/index.js'
import { vendorGuid } from '#src/backends/efi/names.js'
import { shown } from '../backends/efi/stores.js'
import { loadFixture } from '../fixtures.js'
import { blobOf, jsonOf } from '../model/variable-files.js'
import { file, folder, pstorefs, run, succeed } from '../program.js'

const name = 'dmesg-efi_pstore-170000000001001'
const variables = [
  {
    name: 'dump-type0-1-1-1700000000-D',
    guid: vendorGuid,
    data: Buffer.from('Panic#1 Part1\ntext'),
  },
]

t.test('listed and read, never written', async t => {
  for (const bytes of [jsonOf(variables), blobOf(variables)]) {
    const path = file(t, Buffer.from(bytes), 'vars')
    const listed = JSON.parse(succeed(t, ['ls', '--json', `efi:${path}`]).toString())
    t.match(listed, [{ name, size: 18 }])
    t.equal(String(succeed(t, ['cat', `efi:${path}`, name])), 'Panic#1 Part1\ntext')
    t.match(pstorefs(['erase', `efi:${path}`, name]), { status: 1, stderr: /read-only/ })
    t.equal(fs.readFileSync(path, 'latin1'), bytes)
  }
  const other = file(t, Buffer.from('{"a": 1}'), 'other.json')
  t.match(pstorefs(['ls', `efi:${other}`]), {
    status: 1,
    stderr: /^pstorefs: \S+other.json: is JSON, but no UEFI variable store: .*\n$/,
  })
})

t.test('what is left out is damage', async t => {
  const odd = JSON.parse(jsonOf(variables)) as { variables: object[] }
  odd.variables.push({ ...odd.variables[0], data: 'no hex' })
  const path = file(t, Buffer.from(JSON.stringify(odd)), 'vars.json')
  const left = '1 variable without a name, a GUID or hexadecimal data: left out'
  t.match(pstorefs(['ls', path]), { status: 0, stderr: `pstorefs: ${path}: ${left}\n` })
  const { status, stdout } = pstorefs(['check', path])
  t.equal(status, 1)
  t.match(stdout.toString(), `the store  damaged  ${left}\n${path}: 1 sound, 1 damaged\n`)
})

const hasTool = spawnSync('virt-fw-vars', ['--help']).status === 0
const skip = hasTool ? false : 'no virt-fw-vars: Debian has it as python3-virt-firmware'

t.test("a guest's store, as virt-fw-vars converts it", { skip }, async t => {
  for (const fixture of ['efi-panic', 'efi-oopses']) {
    const home = folder(t)
    fs.writeFileSync(`${home}/fd`, loadFixture(fixture).region())
    const to = ['--output-json', `${home}/json`, '--output-aws', `${home}/aws`]
    t.equal(run('virt-fw-vars', ['--input', `${home}/fd`, ...to]).status, 0)
    const [fd, json, aws] = ['fd', 'json', 'aws'].map(kind => {
      const backend = attach(`efi:${home}/${kind}`, {})
      try {
        return shown(backend)
      } finally {
        backend.close()
      }
    })
    t.ok(Object.keys(fd).length > 3)
    t.same(json, fd, `${fixture}: QEMU's JSON`)
    t.same(aws, fd, `${fixture}: AWS's blob`)
  }
})
