/** The text of a crash's records, as the machine printed it. */
import type { StoredRecord } from '../pstore/backend.js'
import { chunksFrom, Tail, type Content } from '../pstore/content.js'

/** Bytes of a text's end that are looked at. */
export const longestText = 2 ** 20

type Told = Pick<StoredRecord, 'type' | 'ecc'>

/**
 * A record's text, at most {@link longestText} of its end: without the dump's title and parity's notice.
 *
 * @param size bytes of the content
 */
export const textOf = ({ type, ecc }: Told, content: Content, size: number): Buffer => {
  const from = Math.max(0, size - longestText)
  const end = Buffer.concat([...chunksFrom(content, from)])
  const text = ecc ? end.subarray(0, end.lastIndexOf('\nECC: ')) : end
  return from === 0 && type === 'dmesg' ? text.subarray(text.indexOf(0x0a) + 1) : text
}

/**
 * The text of records of one kind, one after the other; of all at most {@link longestText} or a little more. What cannot
 * be inflated has none.
 *
 * @throws StoreError where one cannot be read
 */
export const textOfAll = (
  records: readonly StoredRecord[],
  open: (record: StoredRecord) => Content,
): Buffer => {
  const end = new Tail(longestText)
  for (const record of records.filter(({ compressed }) => !compressed))
    end.add(textOf(record, open(record), record.size))
  return end.bytes()
}
