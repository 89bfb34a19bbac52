/** Which names are records' names. */
import t from 'tap'
import { decodeCopyName } from '#src/backends/records/names.js'

t.test('names of records', async t => {
  for (const [name, type, label, id, compressed] of [
    ['dmesg-ramoops-0', 'dmesg', 'dmesg-ramoops', 0n, false],
    ['dmesg-ramoops-0.enc.z', 'dmesg', 'dmesg-ramoops', 0n, true],
    ['dmesg-ramoops-0.enc.z.txt', 'dmesg', 'dmesg-ramoops', 0n, true],
    ['console-ramoops-0.txt', 'console', 'console-ramoops', 0n, false],
    ['console-ramoops', 'console', 'console-ramoops', 0n, false],
    [
      'dmesg-efi_pstore-167000000000101001',
      'dmesg',
      'dmesg-efi_pstore',
      167000000000101001n,
      false,
    ],
    ['powerpc-opal-nvram-3', 'powerpc-opal', 'powerpc-opal-nvram', 3n, false],
    ['boot-log-ramoops-1', 'boot-log', 'boot-log-ramoops', 1n, false],
    ['ttyprobe-ramoops-0', 'tty', 'ttyprobe-ramoops', 0n, false],
    ['pmsg-a.guest-0', 'pmsg', 'pmsg-a.guest', 0n, false],
  ] as const)
    t.same(decodeCopyName(name), { type, label, id, copy: null, compressed }, name)
  t.match(decodeCopyName('dmesg-erst-7.2.enc.z'), { label: 'dmesg-erst', id: 7n, copy: 2 })
})

t.test('other names', async t => {
  for (const name of [
    '',
    'last_kmsg',
    'dmesg.txt',
    'dmesg-0',
    'dmesg--0',
    'pmsg-ramoops',
    'console-mine',
    'dmesg-ramoops-00',
    'dmesg-ramoops-18446744073709551616',
    'dmesg-ram oops-0',
    'dmesg-ram\x1b[2J-0',
    'dmesg-a/b-0',
    `dmesg-${'x'.repeat(65)}-0`,
    'x-dmesg-ramoops-0',
    'dmesg-ramoops-0.gz',
  ])
    t.equal(decodeCopyName(name), null, JSON.stringify(name))
})
