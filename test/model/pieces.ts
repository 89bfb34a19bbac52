/**
 * A ring that is kept as pieces of its stream, read a second time for tests. No kernel has that: the
 * format is this project's own (native-notes/record-rings.md).
 */
import type { ModelFile } from './file.js'

export const pieceTypes = ['tty', 'console', 'pmsg'] as const
export type PieceType = (typeof pieceTypes)[number]

export interface ModelPiece {
  type: PieceType
  /** How much of the stream came before it; beyond 2^62 it is no writer's. */
  position: bigint
  bytes: Buffer
}

/** Is this what a writer may have made? */
export const isPiece = ({ position, bytes }: ModelPiece): boolean =>
  bytes.length > 0 && position <= 2n ** 62n

/**
 * The rings' files. Of pieces that overlap, each byte is that of the one that begins first, of these the
 * longest's; where nothing is known of the stream nothing is shown.
 */
export const ringFiles = (backend: string, pieces: ModelPiece[]): ModelFile[] =>
  pieceTypes.flatMap(type => {
    const stream = new Map<bigint, number>()
    pieces
      .filter(piece => piece.type === type)
      .sort((a, b) => Number(a.position - b.position) || b.bytes.length - a.bytes.length)
      .forEach(({ position, bytes }) =>
        bytes.forEach((byte, i) => {
          const at = position + BigInt(i)
          if (!stream.has(at)) stream.set(at, byte)
        }),
      )
    const bytes = Buffer.from([...stream].sort(([a], [b]) => Number(a - b)).map(([, byte]) => byte))
    return bytes.length
      ? [{ name: `${type}-${backend}-0`, size: bytes.length, time: null, bytes }]
      : []
  })
