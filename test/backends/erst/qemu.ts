/**
 * What QEMU makes of a store, for tests: which records it would give its guest. Written after
 * hw/acpi/erst.c (check_erst_backend_storage, lookup_erst_record, read_erst_record), apart from the
 * driver's own reading of it.
 */

/** The records' bytes by id; null where QEMU would refuse to start. */
export const qemuReads = (store: Buffer): Map<bigint, Buffer> | null => {
  const recordSize = store.readUInt32LE(8)
  const offset = store.readUInt32LE(12)
  if (
    store.toString('latin1', 0, 8) !== 'ERSTSTOR' ||
    recordSize < 4096 ||
    (recordSize & (recordSize - 1)) !== 0 ||
    offset % recordSize !== 0 ||
    store.readUInt32LE(16) !== 0x0100 ||
    store.length % recordSize !== 0
  )
    return null
  const records = new Map<bigint, Buffer>()
  const count = store.readUInt32LE(20)
  // It stops when it has seen as many as the count says.
  for (let slot = offset / recordSize, seen = 0; slot < store.length / recordSize; slot++) {
    const id = store.readBigUInt64LE(24 + 8 * slot)
    if (id === 0n) continue
    if (++seen > count) break
    const start = slot * recordSize
    const length = store.readUInt32LE(start + 20)
    if (length >= 128 && length <= recordSize && !records.has(id))
      records.set(id, Buffer.from(store.subarray(start, start + length)))
  }
  return records
}
