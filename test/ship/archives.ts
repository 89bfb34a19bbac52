/** Archives for tests of what is sent. */
import fs from 'node:fs'
import path from 'node:path'
import type { Test } from 'tap'
import { archiveBackend } from '#src/archive/run.js'
import { ArchiveFolder } from '#src/archive/folder.js'
import { Folder } from '#src/native/folder.js'
import type { ShippedCrash } from '#src/ship/crash.js'
import { waitingIn } from '#src/ship/queue.js'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder } from '../program.js'

/** What a region has: dumps, and rings. */
export interface Words {
  readonly dumps: readonly (string | Buffer)[]
  readonly console?: string | Buffer
  readonly pmsg?: string | Buffer
}

/** 2023-11-14T22:13:20Z, of the first dump; each is a second later. */
export const firstTime = 1_700_000_000

const bytesOf = (text: string | Buffer): Buffer =>
  typeof text === 'string' ? Buffer.from(text) : text

const roundUp = (n: number): number => Math.max(4096, 2 ** Math.ceil(Math.log2(n + 4096)))

/** An archive of a region with some words. */
export const archiveOf = (t: Test, { dumps, console = '', pmsg = '' }: Words): string => {
  const home = folder(t)
  const region = path.join(home, 'region.img')
  const lengths = dumps.map(dump => Buffer.byteLength(dump))
  const options: AttachOptions = {
    record_size: roundUp(Math.max(0, ...lengths)),
    console_size: roundUp(Buffer.byteLength(console)),
    pmsg_size: roundUp(Buffer.byteLength(pmsg)),
    ftrace_size: 0,
  }
  const {
    record_size = 0,
    console_size = 0,
    pmsg_size = 0,
  } = options as {
    [name: string]: number
  }
  const mem_size = roundUp(dumps.length * record_size + console_size + pmsg_size)
  format(region, { ...options, mem_size })
  const backend = attach(region, options)
  const archive = path.join(home, 'crashes')
  const made = new ArchiveFolder(archive, why => t.fail(why))
  try {
    for (const [n, dump] of dumps.entries())
      backend.write({
        type: 'dmesg',
        bytes: Buffer.concat([`Panic#${n + 1} Part1\n`, dump].map(bytesOf)),
        time: { sec: BigInt(firstTime + n), nsec: 0 },
      })
    if (console.length > 0) backend.write({ type: 'console', bytes: bytesOf(console) })
    if (pmsg.length > 0) backend.write({ type: 'pmsg', bytes: bytesOf(pmsg) })
    archiveBackend(
      backend,
      made,
      { keep: false, isNamed: false },
      { say: () => {}, tell: why => t.fail(why) },
    )
  } finally {
    made.close()
    backend.close()
  }
  return archive
}

/** The crashes of an archive that OTLP has not sent yet. */
export const unsentIn = (archive: string): ShippedCrash[] => {
  const opened = Folder.any(archive)
  const found: ShippedCrash[] = []
  for (const { crash, folder } of waitingIn(opened, 'otlp', () => {})) {
    found.push(crash)
    folder.close()
  }
  opened.close()
  return found
}

/** Change what the manifests of an archive say. */
export const changeManifests = (archive: string, change: (manifest: object) => object): void => {
  for (const name of fs.readdirSync(archive).filter(name => !name.startsWith('.'))) {
    const file = path.join(archive, name, 'records.json')
    const manifest = JSON.parse(fs.readFileSync(file, 'utf8')) as object
    fs.writeFileSync(file, JSON.stringify(change(manifest)))
  }
}
