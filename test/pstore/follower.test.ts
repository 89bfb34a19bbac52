/**
 * A follower beside writers that are stopped anywhere: what it prints was written, in that order, whole,
 * and where something is missing it says so.
 */
import fs from 'node:fs'
import t, { type Test } from 'tap'
import { codec } from '#src/backends/ramoops/ecc.js'
import { divideZone } from '#src/backends/ramoops/layout.js'
import { Follower, type News } from '#src/pstore/follower.js'
import { attach, format, type AttachOptions } from '#src/index.js'
import { folder } from '../program.js'
import { randomFor, type Random } from '../random.js'

const zoneSize = 2048
const layout: AttachOptions = {
  record_size: 0,
  console_size: zoneSize,
  pmsg_size: 0,
  ftrace_size: 0,
}

const make = (t: Test, ecc: number): string => {
  const region = `${folder(t)}/region.img`
  format(region, { ...layout, ecc, mem_size: zoneSize })
  return region
}

const textOf = (news: News): Buffer => Buffer.concat(news.pieces)

/** What is done one step after another, each of some ms. */
type Steps = Generator<number, void, void>
/** The time between two stores of one append. Real ones take less than a thousandth of it. */
const storeTime = 0.1

/** All that was written, and how much of it the header has announced. */
interface History {
  written: Buffer[]
  announced: number
}

/** Linux as it writes to a console zone (fs/pstore/ram_core.c), in the steps in which others see it. */
class Linux {
  readonly #fd: number
  readonly #data: number
  readonly #blocks: number
  constructor(
    region: string,
    readonly ecc: number,
    readonly history: History,
  ) {
    this.#fd = fs.openSync(region, 'r+')
    const { data, blocks } = divideZone(zoneSize, ecc)!
    this.#data = data
    this.#blocks = blocks
  }
  #number(at: number): number {
    const bytes = Buffer.alloc(4)
    fs.readSync(this.#fd, bytes, 0, 4, at)
    return bytes.readUInt32LE()
  }
  #put(at: number, value: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    fs.writeSync(this.#fd, bytes, 0, 4, at)
  }
  #encode(at: number, length: number, parityAt: number): void {
    if (!this.ecc) return
    const bytes = Buffer.alloc(length)
    fs.readSync(this.#fd, bytes, 0, length, at)
    const parity = Buffer.alloc(this.ecc)
    codec(this.ecc).encode(bytes, 0, length, parity, 0)
    fs.writeSync(this.#fd, parity, 0, this.ecc, parityAt)
  }
  #headerParity(): void {
    this.#encode(0, 12, 12 + this.#data + this.#blocks * this.ecc)
  }
  *append(bytes: Buffer): Steps {
    const { history } = this
    history.written.push(bytes)
    const size = this.#number(8)
    const start = this.#number(4)
    const kept = bytes.subarray(-this.#data)
    this.#put(8, Math.min(size + kept.length, this.#data))
    yield storeTime
    this.#put(4, (start + kept.length) % this.#data)
    history.announced += bytes.length
    yield storeTime
    for (let done = 0; done < kept.length;) {
      const at = (start + done) % this.#data
      const n = Math.min(100, kept.length - done, this.#data - at)
      fs.writeSync(this.#fd, kept, done, n, 12 + at)
      yield storeTime
      for (let block = at >> 7; block <= (at + n - 1) >> 7; block++)
        this.#encode(
          12 + block * 128,
          Math.min(128, this.#data - block * 128),
          12 + this.#data + block * this.ecc,
        )
      done += n
      yield storeTime
    }
    this.#headerParity()
  }
  *erase(): Steps {
    this.#put(4, 0)
    yield storeTime
    this.#put(8, 0)
    yield storeTime
    this.#headerParity()
  }
  close(): void {
    fs.closeSync(this.#fd)
  }
}

/** This program, which does it in one step as far as others see. */
const ours = (region: string, ecc: number, history: History) => {
  const backend = attach(region, { ...layout, ecc })
  return {
    *append(bytes: Buffer): Steps {
      history.written.push(bytes)
      history.announced += bytes.length
      backend.write({ type: 'console', bytes })
      yield storeTime
    },
    *erase(): Steps {
      const record = backend.find('console-ramoops-0')
      if (record) record.erase()
      yield storeTime
    },
    close: () => backend.close(),
  }
}

const watch = (
  t: Test,
  random: Random,
  writer: 'Linux' | 'ours',
  ecc: number,
  history: boolean,
  total: { polls: number; bytes: number; gaps: number; erasures: number },
): void => {
  const region = make(t, ecc)
  const past: History = { written: [], announced: 0 }
  const actor = writer === 'Linux' ? new Linux(region, ecc, past) : ours(region, ecc, past)
  const backend = attach(region, { ...layout, ecc, readOnly: true })
  const [ring] = backend.rings()
  let erased = false
  const rest = function* (): Steps {
    for (let idle = 150; idle > 0; idle--) yield 1
  }
  const step = function* (): Steps {
    for (;;) {
      for (let busy = random.between(0, 100); busy > 0;) {
        // Linux writes a line at a time. What is longer than the ring may leave its header as it was.
        const most = random.pick([20, 100, 100, 300, writer === 'Linux' ? 500 : 5000])
        for (const time of actor.append(random.bytes(random.between(1, most)))) {
          busy -= time
          yield time
        }
      }
      // At times it rests, so that what is doubtful is not believed in the middle of a store.
      yield* rest()
      if (random.below(3) > 0) continue
      // Linux erases as it boots, and when somebody unlinks a file: not between two of its lines.
      erased = true
      yield* actor.erase()
      yield* rest()
    }
  }
  const steps = step()
  for (let n = random.below(300); n > 0; n--) steps.next()
  const follower = new Follower(ring, history)
  let clock = 0
  let end: number | null = null
  for (let poll = 0; poll < 500; poll++) {
    for (let time = random.pick([0.1, 0.1, 0.5, 2, 10, 20]); time > 0;) {
      const { value } = steps.next()
      time -= value!
      clock += value!
    }
    const news = follower.poll(clock)
    total.polls++
    if (!news) continue
    const text = textOf(news)
    const all = Buffer.concat(past.written)
    const gap = news.erased || news.lost !== null
    // It goes on where it ended. Only after a gap it ends where the writer does; so it does where what was
    // erased meanwhile begins by chance with the few bytes that came since.
    const last = text.equals(all.subarray(past.announced - text.length, past.announced))
    const goesOn: boolean =
      end !== null && !gap && !(erased && last) && text.equals(all.subarray(end, end + text.length))
    const from: number = goesOn ? end! : past.announced - text.length
    if (!text.equals(all.subarray(from, from + text.length))) t.fail('prints what was not written')
    if (end !== null && from < end) t.fail('prints something twice')
    // What came and was erased before anybody looked leaves no trace.
    if (end !== null && from > end && !gap && !erased) t.fail(`skips ${from - end} bytes`)
    // Between two polls it may have been erased and filled anew: then what is lost is anyone's guess.
    if (!erased && news.lost !== null && end !== null && news.lost > from - end)
      t.fail(`tells of ${news.lost} lost bytes of ${from - end}`)
    total.bytes += text.length
    if (news.lost !== null) total.gaps++
    if (news.erased) total.erasures++
    end = from + text.length
    erased = false
  }
  backend.close()
  actor.close()
}

for (const writer of ['Linux', 'ours'] as const)
  for (const ecc of [0, 16])
    for (const history of [true, false])
      t.test(`${writer}, ecc ${ecc}, ${history ? '' : 'no '}history`, t => {
        const random = randomFor(t)
        const total = { polls: 0, bytes: 0, gaps: 0, erasures: 0 }
        for (let round = 0; round < 6; round++) watch(t, random, writer, ecc, history, total)
        t.ok(total.bytes > 5000 && total.gaps + total.erasures > 0, JSON.stringify(total))
        t.end()
      })

t.test('a header that goes back for a moment, as when pstore_blk wraps', t => {
  const region = `${folder(t)}/disk.img`
  const options = { kmsg_size: 0, console_size: 4096, pmsg_size: 0, ftrace_size: 0 }
  format(`zone:${region}`, { ...options, mem_size: 4096 })
  const backend = attach(`zone:${region}`, options)
  backend.write({ type: 'console', bytes: Buffer.alloc(4000, 'old ') })
  const follower = new Follower(backend.rings()[0], false)
  t.equal(follower.poll(0), null)
  t.equal(follower.poll(60), null)
  const text = Buffer.alloc(200, 'new!')
  const fd = fs.openSync(region, 'r+')
  const numbers = (datalen: number, start: number): void => {
    const bytes = Buffer.alloc(8)
    bytes.writeUInt32LE(datalen, 0)
    bytes.writeUInt32LE(start, 4)
    fs.writeSync(fd, bytes, 0, 8, 4)
  }
  numbers(0, 0)
  t.equal(follower.poll(70), null)
  numbers(4000, 4000)
  t.equal(follower.poll(80), null, 'as it was: nothing was erased')
  fs.writeSync(fd, text, 0, 84, 12 + 4000)
  fs.writeSync(fd, text, 84, 116, 12)
  numbers(116, 116)
  t.equal(follower.poll(100), null, 'is not taken for an erasure')
  numbers(4084, 116)
  t.equal(follower.poll(110), null, 'nor believed at once')
  const news = follower.poll(700)!
  t.equal(textOf(news).toString(), text.toString())
  t.same([news.erased, news.lost], [false, null])
  fs.closeSync(fd)
  backend.close()
  t.end()
})

t.test('a ring whose writer strikes while it is read', t => {
  const region = make(t, 0)
  const [backend, guest] = [attach(region, layout), attach(region, layout)]
  const [ring] = backend.rings()
  let strike: (() => void) | null = null
  const struck = {
    ...ring!,
    slice: (from: number, length: number): Buffer => {
      const bytes = ring!.slice(from, length)
      // The look at what is new, not at the bytes that tell whether the ring was written all round.
      if (length > 256) {
        strike?.()
        strike = null
      }
      return bytes
    },
  }
  const write = (letter: string, length: number): void =>
    void guest.write({ type: ring!.type, bytes: Buffer.alloc(length, letter) })
  write('a', 600)
  const follower = new Follower(struck, false)
  const next = (from: number): News | null => {
    for (let now = from; now < from + 3000; now += 60) {
      const news = follower.poll(now)
      if (news) return news
    }
    return null
  }
  t.equal(next(0), null, 'what is there at first is no news')
  write('b', 500)
  strike = () => write('c', 700)
  t.equal(textOf(next(5000)!).toString(), 'b'.repeat(500), 'an append harms nothing')
  t.equal(textOf(next(10_000)!).toString(), 'c'.repeat(700))
  write('d', 500)
  strike = () => write('e', 3 * ring!.length)
  const torn = next(15_000)
  t.ok(torn!.lost !== null && torn!.lost >= 500, 'what was passed over is said to be lost')
  t.notMatch(textOf(torn!).toString(), /e/, 'and nothing torn is passed on')
  backend.close()
  guest.close()
  t.end()
})

for (const ecc of [0, 2, 16])
  t.test(`garbage, ecc ${ecc}`, t => {
    const random = randomFor(t)
    const region = make(t, ecc)
    const backend = attach(region, { ...layout, ecc, readOnly: true })
    const [ring] = backend.rings()
    const follower = new Follower(ring, true)
    const fd = fs.openSync(region, 'r+')
    let bytes = 0
    for (let poll = 0; poll < 2000; poll++) {
      const from = random.pick([0, 4, 4, 4, zoneSize - 8, random.below(zoneSize - 8)])
      const numbers = Buffer.alloc(8)
      numbers.writeUInt32LE(random.below(ring.length + 10), 0)
      numbers.writeUInt32LE(random.pick([ring.length, random.below(ring.length + 10)]), 4)
      if (from === 4) fs.writeSync(fd, numbers, 0, 8, 4)
      else if (random.below(4) === 0) fs.writeSync(fd, random.bytes(8), 0, 8, from)
      // The signature, so that something may be there.
      if (random.below(3) > 0) fs.writeSync(fd, Buffer.from('DBGC'), 0, 4, 0)
      const length = follower.poll(poll * 50)?.pieces.reduce((n, piece) => n + piece.length, 0) ?? 0
      if (length > ring.length) t.fail(`${length} bytes of a ring of ${ring.length}`)
      bytes += length
    }
    t.ok(bytes > 0, `${bytes} bytes`)
    fs.closeSync(fd)
    backend.close()
    t.end()
  })
