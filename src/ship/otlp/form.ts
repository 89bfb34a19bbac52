/** A request's form and its answer's, protobuf or JSON. */
import { StoreError } from '../../pstore/errors.js'
import { Shape } from '../../pstore/shape.js'
import { toLogRecord, type Piece } from './records.js'

/** What a collector says of a request that it took: how many of its records it threw away, and why. */
export interface Rejection {
  readonly count: number
  readonly why: string
}

export interface Form {
  readonly contentType: string
  encode(pieces: readonly Piece[]): Uint8Array
}

export const protobuf = 'application/x-protobuf'
const jsonType = 'application/json'

const transformer = () => import('./serialisers.js')

export const formOf = async (isJson: boolean): Promise<Form> => {
  const { JsonLogsSerializer, ProtobufLogsSerializer } = await transformer()
  const serializer = isJson ? JsonLogsSerializer : ProtobufLogsSerializer
  return {
    contentType: isJson ? jsonType : protobuf,
    encode: pieces => {
      const encoded = serializer.serializeRequest(pieces.map(toLogRecord))
      // Its type allows for what cannot be encoded; whatever that is, it is a mistake.
      if (!encoded) throw new Error('log records cannot be encoded')
      return encoded
    },
  }
}

/** A count as protobuf's JSON has one of 64 bits: text, or a number. */
const countOf = (shape: Shape): number =>
  typeof shape.value === 'string' ? Number(shape.text(/^-?\d{1,19}$/)) : shape.count()

const fromJson = (bytes: Buffer): Rejection => {
  const answer = Shape.parse(bytes.toString(), 'the answer')
  const partial = answer.has('partialSuccess') ? answer.member('partialSuccess') : null
  if (!partial || partial.value === null) return { count: 0, why: '' }
  return {
    count: partial.has('rejectedLogRecords') ? countOf(partial.member('rejectedLogRecords')) : 0,
    why: partial.has('errorMessage') ? partial.member('errorMessage').text() : '',
  }
}

const fromProtobuf = async (bytes: Buffer): Promise<Rejection> => {
  const { ProtobufLogsSerializer } = await transformer()
  const { partialSuccess } = ProtobufLogsSerializer.deserializeResponse(bytes)
  return {
    count: Number(partialSuccess?.rejectedLogRecords ?? 0),
    why: partialSuccess?.errorMessage ?? '',
  }
}

/**
 * What an answer to a request says that was taken. An empty one says that all is well.
 *
 * @param type its Content-Type
 * @returns null where it is no collector's answer
 */
export const decodeAnswer = async (bytes: Buffer, type: string): Promise<Rejection | null> => {
  if (bytes.length === 0) return { count: 0, why: '' }
  try {
    if (type === jsonType) return fromJson(bytes)
    return type === protobuf ? await fromProtobuf(bytes) : null
  } catch (error) {
    if (error instanceof StoreError || type === protobuf) return null
    throw error
  }
}
