/** What is fuzzed: some parser, and what must hold of it whatever the input is. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import type { Backend } from '#src/index.js'
import { chunksOf } from '#src/pstore/content.js'

export interface Target {
  /** Inputs to begin with. */
  seeds(): Buffer[]
  /** @throws StoreError where the parser refuses the input; anything else is a finding */
  run(bytes: Buffer): void
  /** Words of the format, which mutations put in; a character stands for a byte. */
  readonly words?: readonly string[]
  /** Bytes that an input has at most. Default: 64 KiB. */
  readonly longest?: number
}

/** The targets, and the modules that each explores: what their paths in dist begin with. */
export const targets: { readonly [name: string]: readonly string[] } = {
  ramoops: [
    ...['driver', 'dmesg-header', 'layout', 'zone', 'zone-header'].map(
      module => `backends/ramoops/${module}.`,
    ),
    'region/zoned.',
    'pstore/store.',
    'pstore/survey.',
  ],
  'dmesg-header': ['backends/ramoops/dmesg-header.'],
  ecc: ['backends/ramoops/ecc.', 'backends/ramoops/ecc-errors.', 'backends/ramoops/galois.'],
  deflate: ['pstore/content.', 'pstore/codecs/deflate.', 'pstore/codecs/unpacked.'],
  zlib: ['pstore/codecs/'],
  zstd: ['pstore/codecs/zstd/', 'pstore/codecs/output.', 'pstore/codecs/walk.'],
  lz4: ['pstore/codecs/lz4.', 'pstore/codecs/output.'],
  lzo: ['pstore/codecs/lzo.', 'pstore/codecs/output.'],
  e842: ['pstore/codecs/e842.', 'pstore/codecs/output.'],
  gzip: ['region/images/gzip.'],
  foreign: ['region/images/foreign.'],
  zone: ['backends/zone/'],
  'zone-layout': ['backends/zone/find-layout.', 'backends/zone/signed.'],
  records: ['backends/records/'],
  efi: ['backends/efi/', 'pstore/split-ring.'],
  'efi-files': ['backends/efi/aws-blob.', 'backends/efi/vars-json.', 'backends/efi/variable-file.'],
  erst: ['backends/erst/', 'pstore/split-ring.'],
  migration: ['region/images/'],
  android: ['decoders/android.'],
  crash: ['crash/'],
  kmsg: ['frontends/kmsg.'],
  filters: ['frontends/tty/filters.'],
  kallsyms: ['decoders/kallsyms.'],
  'device-tree': ['described.', 'device-tree.', 'flat-tree.', 'overlays.'].map(
    module => `backends/ramoops/probe/${module}`,
  ),
  'command-line': ['described.', 'boot-parameters.', 'texts.'].map(
    module => `backends/ramoops/probe/${module}`,
  ),
  layout: ['backends/ramoops/layout-file.', 'backends/ramoops/given.'],
  probe: ['backends/ramoops/probe/'],
  fuse: ['fuse/protocol.', 'fuse/server.', 'tree/'],
  config: [
    'cli/options/config.',
    'cli/options/parameters.',
    'cli/options/mount-options.',
    'pstore/select.',
  ],
}

export const loadTarget = async (name: string): Promise<Target> =>
  ((await import(`./targets/${name}.js`)) as { target: Target }).target

/** A file that is written anew for each input, where TMPDIR says: in memory, for one that is watched. */
export class Scratch {
  readonly path: string
  readonly #fd: number
  constructor() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pstorefs-fuzz-'))
    this.path = path.join(folder, 'input')
    this.#fd = fs.openSync(this.path, 'w+')
    process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))
  }
  write(bytes: Uint8Array): void {
    fs.ftruncateSync(this.#fd, bytes.length)
    fs.writeSync(this.#fd, bytes, 0, bytes.length, 0)
  }
  read(): Buffer {
    return fs.readFileSync(this.path)
  }
}

/** Names come from numbers and known types only. */
const plain = /^[A-Za-z0-9._-]+$/
/** What of a store is no record has a name in words. */
const words = /^[A-Za-z0-9._ -]+$/

/**
 * Whatever a store holds, this is so of what a backend shows of it; and once it was erased, nothing is
 * left, and what is written then can be read.
 *
 * @param open attaches a backend to the file
 * @param bytes what the file holds
 */
export const checkBackend = (open: () => Backend, file: Scratch, bytes: Buffer): void => {
  const backend = open()
  try {
    const shown = Array.from(backend.records())
    assert.deepEqual(Array.from(backend.records()), shown, 'a second look shows the same')
    assert.equal(new Set(shown.map(({ name }) => name)).size, shown.length, 'names are unique')
    let total = 0
    for (const record of shown) {
      assert.match(record.name, plain)
      assert.deepEqual(backend.find(record.name), record, 'found by its name')
      const content = record.read()
      const pieces = Array.from(chunksOf(backend.open(record.name)!.content))
      assert.ok(Buffer.concat(pieces).equals(content), 'the same in pieces')
      if (record.type !== 'ftrace') assert.equal(content.length, record.size)
      total += content.length
    }
    assert.ok(total <= 5 * bytes.length + 4096 * shown.length, `${total} bytes are shown`)
    // An ERST store's last slot may be cut short by the file's end.
    const end = bytes.length
    for (const place of backend.survey.conditions()) {
      const { name, offset, length, room, used, start, state } = place
      assert.match(name, words)
      if (offset !== null) assert.ok(offset >= 0 && offset + length <= end)
      assert.ok(0 <= used && used <= room && room <= length && start <= room, `${name}: ${used}`)
      if (place.record !== null) assert.notEqual(state, 'empty')
      backend.survey.raw(name)
      backend.survey.salvage(name)
    }
    for (const ring of backend.rings()) {
      const { start, size } = ring.position()
      assert.ok(start < ring.length && size <= ring.length)
      assert.equal(ring.slice(start, ring.length - start).length, ring.length - start)
    }
    assert.ok(file.read().equals(bytes), 'reading changes nothing')
    if (!backend.readOnly) eraseAndWrite(backend, shown.length)
    assert.equal(file.read().length, bytes.length)
  } finally {
    backend.close()
  }
}

const eraseAndWrite = (backend: Backend, count: number): void => {
  // Behind a record may be another of the same name, but not more than there are places.
  const most = count + Array.from(backend.survey.conditions()).length
  for (let left = most; ; left--) {
    const [first] = backend.records()
    if (!first) break
    assert.ok(left > 0, 'erasing comes to an end')
    assert.ok(first.erase())
  }
  const text = Buffer.from('hello')
  for (const { type, name, length } of backend.rings()) {
    backend.write({ type, bytes: text })
    const kept = text.subarray(Math.max(0, text.length - length))
    assert.equal(String(backend.survey.raw(name)?.subarray(-kept.length)), String(kept))
  }
  const dump = Buffer.from('Panic#1 Part1\nhello')
  if ((backend.capacity('dmesg')?.room ?? 0) < dump.length) return
  backend.write({ type: 'dmesg', bytes: dump, time: { sec: 1_700_000_000n, nsec: 0 } })
  const shown = Array.from(backend.records()).filter(({ type }) => type === 'dmesg')
  assert.equal(shown.length, 1)
  assert.ok(shown[0].read().includes(dump))
}
