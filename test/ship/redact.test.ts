/** What --redact takes out of a crash, and what it leaves. */
import t from 'tap'
import { Redaction } from '#src/ship/redact.js'
import { measureWork } from '../work.js'

/** Text, and what is left of it; of null nothing is taken out. */
const cases: readonly (readonly [text: string, left: string | null])[] = [
  // MAC addresses.
  ['eth0: 52:54:00:12:34:56, up', 'eth0: <mac>, up'],
  ['e1000 52:54:00:AB:cd:EF: link', 'e1000 <mac>: link'],
  ['52-54-00-12-34-56', '<mac>'],
  ['MAC:52:54:00:12:34:56', 'MAC:<mac>'],
  ['mac=52:54:00:12:34:56.', 'mac=<mac>.'],
  ['guid 00:11:22:33:44:55:66:77', 'guid <mac>'],
  [`ib0: ${Array.from({ length: 20 }, () => '8a').join(':')}`, 'ib0: <mac>'],
  ['MAC=52:54:00:12:34:56:52:54:00:12:34:57:08:00 SRC', 'MAC=<mac> SRC'],
  ['key 11:22:33:44:55:66:77 is no address', null],
  ['at 12:34:56 and 2026-11-30 12:34:56', null],
  ['52:54-00:12:34:56', null],
  ['152:54:00:12:34:56a', null],
  // IPv4.
  ['nfs: server 10.0.0.1 not responding', 'nfs: server <ip> not responding'],
  ['SRC=192.168.1.20 DST=8.8.8.8 LEN', 'SRC=<ip> DST=<ip> LEN'],
  ['10.0.0.1:80, 10.0.0.0/8. 10.0.0.1-10.0.0.9', '<ip>:80, <ip>/8. <ip>-<ip>'],
  ['at 010.000.002.015.', 'at <ip>.'],
  ['(10.0.0.1)', '(<ip>)'],
  ['300.1.1.1', null],
  ['1.2.3.4.5', null],
  ['v1.2.3.4 linux-6.1.0.1 6.1.0.1-amd64 1.2.3.4foo', null],
  ['version 6.1.0.1, Firmware: 7.13.1.0, BIOS 1.2.3.4', null],
  ['Linux version 6.1.0-31-amd64', null],
  ['[   12.345678] 1.5 0.1.2', null],
  // IPv6.
  ['fe80::5054:ff:fe12:3456%eth0/64', '<ip>%eth0/64'],
  ['addr fe80::1: duplicate', 'addr <ip>: duplicate'],
  ['addr:2001:db8::1.', 'addr:<ip>.'],
  ['[2001:db8::1]:80', '[<ip>]:80'],
  ['fe80:0000:0000:0000:5054:00ff:fe12:3456', '<ip>'],
  ['::ffff:10.0.0.1', '<ip>'],
  ['::1', '<ip>'],
  ['2001:db8::', '<ip>'],
  ['std::string a::b dead::beef core::fmt::Debug::fmt', null],
  ['0000:00:1f.2 2:0:0:0 usb 1-1:1.0 0003:046D:C52B.0001', null],
  ['RIP: 0010:foo+0x1a/0x30 RSP: 0018:ffffc90000013e48 EFLAGS: 00010246', null],
  ['Code: 48 8b 45 00 52 54 00', null],
  ['00000000: 52 54 00 12 34 56 08 00', null],
  // The command line.
  [
    'Kernel command line: root=UUID=12-34 quiet key="a b" "x=y z" console=ttyS0,115200',
    'Kernel command line: root=… quiet key=… x=… console=…',
  ],
  ['[    0.000000] Command line: a=b\nc=d', '[    0.000000] Command line: a=…\nc=d'],
  ['Kernel command line: key="never ends = here', 'Kernel command line: key=…'],
  [
    'Unknown kernel command line parameters "BOOT_IMAGE=/vmlinuz splash", will be passed to user space.',
    'Unknown kernel command line parameters BOOT_IMAGE=… will be passed to user space.',
  ],
  [
    'Command line: token=secret\n  with environment:\n    token=secret\n    HOME=/\n',
    'Command line: token=…\n  with environment:\n    token=…\n    HOME=/\n',
  ],
  [
    'Command line: root=UUID=12-ab ro\nCannot open root device "UUID=12-ab", no "UUID=34-cd"',
    'Command line: root=… ro\nCannot open root device "UUID=…", no "UUID=34-cd"',
  ],
  ['no command line, a=b', null],
  // Host names: this machine's, and what a log tells.
  ['web1 and WEB1.example.net, not web12 or my-web1', '<host> and <host>, not web12 or my-web1'],
  ['Hostname set to <db7>. db7: ok', 'Hostname set to <<host>>. <host>: ok'],
  ['\nmail login: root\nto mail', '\n<host> login: root\nto <host>'],
  ['Nov 30 10:00:00 box sshd[12]: hello\nbox', 'Nov 30 10:00:00 <host> sshd[12]: hello\n<host>'],
  ['systemd.hostname=c3 c3', 'systemd.hostname=<host> <host>'],
  ['localhost login: ', null],
]

for (const [text, left] of cases)
  t.test(JSON.stringify(text.slice(0, 60)), async t => {
    const redaction = new Redaction(['web1.example.net'])
    redaction.learn(Buffer.from(text))
    t.equal(redaction.line(text), left ?? text)
  })

t.test('what one text tells is taken out of the others', async t => {
  const redaction = new Redaction([])
  redaction.learn(Buffer.from('Command line: token=secret\nSet hostname to <db7>.'))
  t.equal(redaction.line('token=secret on db7'), 'token=… on <host>')
})

t.test('bytes that are no UTF-8 stay as they are', async t => {
  const bytes = Buffer.from([0xff, 0x00, 0xe9, 0x20])
  const text = Buffer.concat([bytes, Buffer.from('10.0.0.1 é')])
  t.same(new Redaction([]).text(text), Buffer.concat([bytes, Buffer.from('<ip> é')]))
})

t.test('whoever writes the text cannot make the work long', async t => {
  const size = 2 ** 20
  const hostile = [
    'a',
    ':',
    'aa:',
    '1.',
    '1.2.3.4.',
    '"',
    'a="',
    'Command line: a=b ',
    'Command line: "',
    '1::',
    'a=',
    'web-',
    'x login: ',
    'hostname=h1 ',
  ]
  for (const unit of hostile) {
    const text = Buffer.from(unit.repeat(size / unit.length))
    const work = measureWork()
    const redaction = new Redaction(['web1'])
    redaction.learn(text)
    redaction.text(text)
    // A quadratic one takes minutes.
    t.ok(work() < 10_000, unit)
  }
})
