/** Rings in pieces: whatever is appended, and wherever a writer is killed, the stream's end is shown. */
import t from 'tap'
import { appendPieces, erasePieces, joinPieces, sizeOfPieces } from '#src/pstore/split-ring.js'
import type { Piece, PieceStore } from '#src/pstore/split-ring.js'
import { randomFor } from '../random.js'

const killed = new Error('killed')

/** A store in memory, whose writer can be killed before any of its stores. */
class Store implements PieceStore<Piece> {
  kept = new Map<Piece, Buffer>()
  /** How many stores are left until it is killed. */
  left = Infinity
  constructor(readonly room: number) {}
  pieces(): Piece[] {
    return [...this.kept.keys()].toReversed()
  }
  versionOf({ position, length }: Piece): string {
    return `${position} ${length}`
  }
  load(piece: Piece): Buffer | null {
    return this.kept.get(piece) ?? null
  }
  #live(): void {
    if (this.left-- <= 0) throw killed
  }
  add(position: bigint, bytes: Uint8Array): void {
    this.#live()
    this.kept.set({ position, length: bytes.length }, Buffer.from(bytes))
  }
  remove(piece: Piece): void {
    this.#live()
    this.kept.delete(piece)
  }
}

t.test('the end of the stream, whatever happens to its writers', async t => {
  const random = randomFor(t)
  for (let run = 0; run < 200; run++) {
    const room = random.between(1, 20)
    const most = random.between(1, 6)
    const store = new Store(room)
    let stream: Buffer = Buffer.alloc(0)
    for (let turn = 0; turn < 40; turn++) {
      const bytes = random.bytes(random.pick([0, 1, 2, room, random.below(3 * room * most)]))
      const before = joinPieces(store)
      const kill = random.below(3) === 0
      store.left = kill ? random.below(6) : Infinity
      try {
        appendPieces(store, most, bytes)
        stream = Buffer.concat([stream, bytes])
      } catch (error) {
        if (error !== killed) throw error
        // What the kill let through counts; the rest was never there.
        const shown = joinPieces(store)
        const whole = Buffer.concat([stream, bytes])
        const end = Array.from({ length: bytes.length + 1 }, (_, n) => stream.length + n).find(
          end => whole.subarray(Math.max(0, end - shown.length), end).equals(shown),
        )
        // Of text longer than the ring the front is never stored: the next append is told apart by it.
        if (end === undefined && bytes.length <= most * room) t.fail(`run ${run}: torn by a kill`)
        stream = end === undefined ? shown : whole.subarray(0, end)
        continue
      }
      const shown = joinPieces(store)
      if (!stream.subarray(stream.length - shown.length).equals(shown))
        t.fail(`run ${run}: shows what nobody wrote, or in another order`)
      if (store.kept.size > most) t.fail(`run ${run}: ${store.kept.size} pieces`)
      if (shown.length !== sizeOfPieces(store.pieces())) t.fail(`run ${run}: another size`)
      // Two neighbours are fuller than one: what fits into one is joined.
      const least = Math.min(before.length + bytes.length, ((most - 1) * room) / 2)
      if (shown.length < least) t.fail(`run ${run}: ${shown.length} bytes, ${least} at least`)
    }
    store.left = Infinity
    erasePieces(store)
    t.equal(joinPieces(store).length, 0)
  }
})

t.test('pieces that overlap, as a kill or a hostile store leaves them', async t => {
  const store = new Store(10)
  const put = (position: bigint, text: string): void => store.add(position, Buffer.from(text))
  put(5n, 'fgh')
  put(0n, 'abc')
  put(0n, 'abcdef')
  put(100n, 'XYZ')
  put(101n, 'Y')
  t.equal(joinPieces(store).toString(), 'abcdefghXYZ')
  t.equal(sizeOfPieces(store.pieces()), 11)
  appendPieces(store, 2, Buffer.from('!'))
  t.equal(joinPieces(store).toString(), 'fghXYZ!', 'the two newest pieces are left')
})

t.test('a piece that goes while it is read is missing, and nothing else', async t => {
  const store = new Store(10)
  for (const [position, text] of ['abc', 'def', 'ghi'].entries())
    store.add(BigInt(3 * position), Buffer.from(text))
  const load = store.load.bind(store)
  store.load = piece => (piece.position === 3n ? null : load(piece))
  t.equal(joinPieces(store).toString(), 'abcghi')
})
