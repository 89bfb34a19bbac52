/** Of random appends and erasures, looked at now and then: what a move says is so, and no gap is kept secret. */
import t from 'tap'
import { moveBetween, type RingPosition } from '#src/pstore/ring.js'
import { randomFor } from '../random.js'

/** A ring as Linux keeps it, that remembers all that was ever written to it. */
class Model {
  readonly ring: Buffer
  at: RingPosition = { start: 0, size: 0 }
  readonly written: number[] = []
  constructor(readonly length: number) {
    this.ring = Buffer.alloc(length)
  }
  append(bytes: Buffer): void {
    for (const [i, byte] of bytes.entries()) this.ring[(this.at.start + i) % this.length] = byte
    this.at = {
      start: (this.at.start + bytes.length) % this.length,
      size: Math.min(this.at.size + bytes.length, this.length),
    }
    this.written.push(...bytes)
  }
  erase(): void {
    this.at = { start: 0, size: 0 }
  }
  /** The last bytes before a place. */
  before(start: number, count: number): Buffer {
    return Buffer.from(
      Array.from(
        { length: count },
        (_, i) => this.ring[(start - count + i + this.length) % this.length],
      ),
    )
  }
}

t.test('random histories', t => {
  const random = randomFor(t)
  const kinds = { still: 0, appended: 0, erased: 0, lapped: 0 }
  for (let round = 0; round < 300; round++) {
    const model = new Model(random.between(20, 700))
    const { length } = model
    let before = model.at
    let seen = Buffer.from(model.ring)
    let told = 0
    for (let look = 0; look < 60; look++) {
      let erased = false
      for (let n = random.below(4); n > 0; n--) {
        if (random.below(10) === 0) {
          model.erase()
          erased = true
        } else {
          // Mostly little, but now and then more than the ring holds.
          const most = random.pick([8, 8, length >> 2, length, 3 * length])
          model.append(random.bytes(random.between(1, most)))
        }
      }
      const move = moveBetween(before, model.at, length, n =>
        model.before(before.start, n).equals(
          Buffer.concat([seen, seen]).subarray(
            // The same bytes of the ring as it was.
            (before.start - n + length) % length,
            ((before.start - n + length) % length) + n,
          ),
        ),
      )
      const fresh = model.written.length - told
      const say = `${JSON.stringify({ before, after: model.at, length, move, fresh, erased })}`
      kinds[move.kind]++
      if (move.count > fresh || move.count > model.at.size) t.fail(`shows old bytes: ${say}`)
      const untold = move.kind === 'still' || move.kind === 'appended'
      // What was emptied before anybody had seen enough of it cannot be told from what never was. And a
      // few bytes may be what they were by chance.
      const chance = (erased && before.size < 16) || length - (fresh % length) < 4
      if (untold && move.count < fresh && !chance) t.fail(`keeps a gap secret: ${say}`)
      if (!erased && fresh < length && (!untold || move.count !== fresh))
        t.fail(`loses bytes that are there: ${say}`)
      if (!erased && move.lost > fresh - move.count) t.fail(`tells of more than is lost: ${say}`)
      before = model.at
      seen = Buffer.from(model.ring)
      told = model.written.length
    }
  }
  for (const [kind, count] of Object.entries(kinds)) t.ok(count > 20, `${count} times ${kind}`)
  t.end()
})

t.test('headers that no ring has', t => {
  const random = randomFor(t)
  for (let round = 0; round < 100_000; round++) {
    const length = random.between(1, 300)
    const position = (): RingPosition => ({
      start: random.below(length),
      size: random.between(0, length),
    })
    const before = position()
    const after = position()
    const move = moveBetween(before, after, length, n => {
      if (n < 1 || n > length) t.fail(`asks for ${n} of ${length}`)
      return random.below(2) === 0
    })
    if (move.count < 0 || move.count > length || move.lost < 0 || move.lost > 2 * length)
      t.fail(JSON.stringify({ before, after, length, move }))
  }
  t.pass('give moves within the ring')
  t.end()
})
