/** A copy of a record, whatever it holds: compressed, ftrace's or pmsg's. */
import fs from 'node:fs'
import { attach } from '#src/index.js'
import { likenessOf, recognise } from '#src/backends/index.js'
import { deflate } from '#src/pstore/codecs/deflate.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()
const names = ['dmesg-ramoops-0.enc.z', 'ftrace-ramoops-0', 'pmsg-ramoops-0'].map(name => {
  const link = `${file.path}-${name}`
  fs.mkdirSync(link)
  fs.symlinkSync(file.path, `${link}/${name}`)
  return `${link}/${name}`
})

export const target: Target = {
  seeds: () => [
    deflate(Buffer.from('Panic#1 Part1\nhello')),
    Buffer.concat([deflate(Buffer.from('hello')), Buffer.from('\nECC: No errors detected\n')]),
    Buffer.from('CPU:0 ts:1 ffffffff81000000  ffffffff81200000  a <- b\n'),
    Buffer.from('<6>[    0.000000] Linux version 6.1\n'),
  ],
  words: ['Panic#1 Part1\n', 'CPU:', 'l\x28\0', '\xff\xff\xff\xff'],
  // So few become at most a text of the limit.
  longest: 4096,
  run(bytes) {
    file.write(bytes)
    recognise(file.path)
    likenessOf(file.path)
    for (const name of names) {
      const backend = attach(name, {})
      for (const record of backend.records()) record.read()
      for (const { name } of backend.survey.conditions()) backend.survey.salvage(name)
      backend.close()
    }
  },
}
