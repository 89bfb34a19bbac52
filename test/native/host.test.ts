/** This machine's names. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import t from 'tap'
import { application, idFor, thisHost } from '#src/native/host.js'

t.test('an id for one program, as sd_id128_get_machine_app_specific(3) makes it', async t => {
  const machine = '3d1219c7c4c5404aaa1f6d2a48adfda4'
  t.equal(idFor(machine, application), 'd97cabf31f8a4e9ba1ddee766393e9d9')
  t.not(idFor(machine.replace('3', '4'), application), idFor(machine, application))
})

t.test('this machine', async t => {
  const { name, id } = thisHost()
  t.equal(name, os.hostname())
  const asked = spawnSync(
    'systemd-id128',
    ['machine-id', `--app-specific=${application.toString('hex')}`],
    { encoding: 'utf8' },
  )
  if (asked.error || !fs.existsSync('/etc/machine-id')) t.comment('systemd is not asked')
  else t.equal(id, asked.stdout.trim() || null, 'as systemd says')
})
