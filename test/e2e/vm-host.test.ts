/** doc/guides/vm-host.md: its lines for QEMU and for the guest's kernel make a region that the host reads. */
import fs from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { folder, succeed } from '../program.js'
import { bootGuest, REGION_ADDRESS, skipWithoutGuest } from './guest.js'

const guide = fs.readFileSync(
  path.resolve(import.meta.dirname, '../../doc/guides/vm-host.md'),
  'utf8',
)
/** The words of its block of a language. */
const wordsOf = (language: string): string[] => {
  const [, text = ''] = new RegExp(`^\`\`\`${language}\n([^]+?)^\`\`\``, 'm').exec(guide) ?? []
  return text.split(/\s+/).filter(Boolean)
}
/** The guest loads ramoops, with what the command line says, and crashes. */
const crash = { script: 'modprobe ramoops', crash: true } as const

const skip = skipWithoutGuest()

t.test('a memory of its own', { skip }, async t => {
  const region = `${folder(t)}/guest1.img`
  fs.writeFileSync(region, Buffer.alloc(1 << 20))
  // The test's own machine has what the guide's lines say, with a mailbox besides.
  const device = wordsOf('qemu').find(word => word.startsWith('nvdimm,'))
  t.equal(device, `nvdimm,memdev=region,addr=0x${REGION_ADDRESS.toString(16)}`)
  t.ok(
    wordsOf('qemu').includes('memory-backend-file,id=region,share=on,mem-path=guest1.img,size=1M'),
  )
  const cmdline = wordsOf('cmdline').join(' ')
  await bootGuest({ region, ramoops: null, cmdline, ...crash })
  t.match(succeed(t, ['show', region]).toString(), /^cause +Kernel panic - not syncing: sysrq/m)
})

t.test("a piece of the guest's RAM", { skip }, async t => {
  const home = folder(t)
  const [machine = '', size] = ['-machine', '-m'].map(
    option => wordsOf('qemu-ram')[wordsOf('qemu-ram').indexOf(option) + 1],
  )
  const object = wordsOf('qemu-ram').find(word => word.startsWith('memory-backend-file'))!
  await bootGuest({
    ram: Number(/^(\d+)M$/.exec(size!)![1]),
    qemu: ['-machine', machine, '-object', object.replace('mem-path=', `mem-path=${home}/`)],
    cmdline: wordsOf('cmdline-ram').join(' '),
    ...crash,
  })
  const shown = succeed(t, ['show', `${home}/guest2.mem`]).toString()
  t.match(shown, /^cause +Kernel panic - not syncing: sysrq/m)
  t.match(succeed(t, ['probe', `${home}/guest2.mem`]).toString(), /^region at 0x8000000, /)
})

t.test('the XML is well formed', async t => {
  const [, xml = ''] = /^```xml\n([^]+?)^```/m.exec(guide) ?? []
  const open: string[] = []
  for (const [, slash, name, own] of xml.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g))
    if (own) continue
    else if (slash) t.equal(open.pop(), name)
    else open.push(name!)
  t.same(open, [])
})
