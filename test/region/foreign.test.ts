/** Forms of files that are told by name, with what makes bytes of them. */
import t from 'tap'
import { foreignForm } from '#src/region/images/foreign.js'
import { foreignSamples } from './foreign-samples.js'

t.test('each form', async t => {
  for (const { head, says } of foreignSamples)
    t.match(foreignForm(Buffer.from(head, 'latin1')), says, JSON.stringify(head.slice(0, 40)))
})

t.test('what is none of them', async t => {
  for (const head of [
    '',
    'DBGC\0\0\0\0\0\0\0\0',
    '[    0.000000] Linux version 6.12\n[    0.000000] Command line: x\n',
    'console=ttyS0 ramoops.mem_size=0x10000 ramoops.mem_address=0x1000',
    'deadbeef\ndeadbeef\n',
    '00000000: 4442 4743  DBGC\nand then something else\n',
    'Panic#1 Part1\n<6>[    1.000000] Code: 00 01 02\n',
    '/* a device tree? */ /* no',
    `${'/* */'.repeat(800)}x`,
    `PKx${'\0'.repeat(400)}`,
  ])
    t.equal(foreignForm(Buffer.from(head, 'latin1')), null, JSON.stringify(head.slice(0, 40)))
})
