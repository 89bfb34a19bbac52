/**
 * The form of ftrace's records: nothing on the media says what machine wrote them, so their bytes have to.
 *
 * Source: doc/formats.md 7.4; include/linux/pstore.h (struct pstore_ftrace_record, PSTORE_CPU_IN_IP), before
 * 4.10 fs/pstore/internal.h.
 */
import {
  sampledBytes,
  sampledZones,
  type FtraceForm,
  type FtraceZone,
  type WordSize,
} from '../pstore/ftrace.js'
import { maxCpus, type Endian } from '../pstore/types.js'

/** 64-bit machines; what is no known form is read as this one. */
export const wide: FtraceForm = { size: 24, word: 8, time: true, cpu: 'time' }
export const narrow: FtraceForm = { size: 16, word: 4, time: true, cpu: 'time' }
/** Before Linux 4.10. */
export const oldWide: FtraceForm = { size: 24, word: 8, time: false, cpu: 'field' }
export const oldNarrow: FtraceForm = { size: 12, word: 4, time: false, cpu: 'field' }
const oldInAddress: FtraceForm = { size: 8, word: 4, time: false, cpu: 3 }

/** Before 4.10, and since. */
const oldForms = [oldWide, oldNarrow, oldInAddress]
const forms = [wide, narrow]

/** LINUX_VERSION_CODE of Linux 4.10, which brought the time. */
const firstWithTime = (4 << 16) | (10 << 8)

/** So many of a form's records have to look like ones, before it is believed. */
const enough = 3 / 4

export const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView =>
  new DataView(buffer, byteOffset, byteLength)

/** Could this be an address of the kernel of a 32-bit machine? Halves of 64-bit addresses often are ffffffff. */
const isKernel = (address: number): boolean => address >= 0x40000000 && address < 0xffff0000

/** A sample's records of a form, as far as a look needs them. */
class Sample {
  readonly #view: DataView
  readonly #little: boolean
  readonly count: number
  /** Where the first record is: what does not divide is in front. */
  readonly #first: number

  constructor(
    bytes: Buffer,
    endian: Endian,
    readonly form: FtraceForm,
  ) {
    this.#view = viewOf(bytes)
    this.#little = endian === 'little'
    this.count = Math.floor(bytes.length / form.size)
    this.#first = bytes.length % form.size
  }

  #u32(record: number, at: number): number {
    return this.#view.getUint32(this.#first + record * this.form.size + at, this.#little)
  }

  /** The low bits of ip and of parent_ip, of a 32-bit machine the whole. */
  ip(record: number): number {
    return this.#u32(record, 0)
  }
  parent(record: number): number {
    return this.#u32(record, this.form.word)
  }
  timeHi(record: number): number {
    return this.#u32(record, 2 * this.form.word + (this.#little ? 4 : 0))
  }
  timeLo(record: number): number {
    return this.#u32(record, 2 * this.form.word + (this.#little ? 0 : 4))
  }

  /** How many addresses of a record may be a 32-bit kernel's. */
  kernelAddresses(record: number): number {
    return Number(isKernel(this.ip(record))) + Number(isKernel(this.parent(record)))
  }

  /** Does a record look like one of the form? */
  fits(record: number): boolean {
    const { form } = this
    const after = 2 * form.word
    const isNarrow = form.word === 4
    // Times are counted from 0 in steps of 1: their upper bits stay 0.
    if (form.time)
      return this.timeHi(record) >>> 16 === 0 && (!isNarrow || this.kernelAddresses(record) > 0)
    if (form.cpu !== 'field') return this.kernelAddresses(record) === 2
    if (this.#u32(record, after) >= maxCpus) return false
    return isNarrow
      ? this.kernelAddresses(record) > 0
      : this.#u32(record, after + 4) === 0 && this.#isWide(record)
  }

  /** Is there anything in the upper half of an address? */
  #isWide(record: number): boolean {
    const upper = this.#little ? 4 : 0
    return this.#u32(record, upper) !== 0 || this.#u32(record, 8 + upper) !== 0
  }
}

/** How many of a form's records look like ones, from 0 to 1. */
const scoreOf = (samples: readonly Sample[]): number => {
  let records = 0
  let fitting = 0
  for (const sample of samples)
    for (let record = 0; record < sample.count; record++, records++)
      if (sample.fits(record)) fitting++
  return records > 0 ? fitting / records : 0
}

/**
 * Less than a 64-bit machine's record may be the end of one, whose words are halves of addresses.
 *
 * @param longest bytes of the longest zone
 */
const isCertain = (samples: readonly Sample[], longest: number): boolean =>
  longest >= wide.size ||
  samples.every(sample => sample.count === 0 || sample.kernelAddresses(0) === 2)

/**
 * Where a 32-bit machine's records have the CPU. Where it is in the time, a CPU's next record has another time
 * above the low byte; else the whole is a time, which is counted on by one or a few.
 */
const cpuOf = (samples: readonly Sample[]): FtraceForm['cpu'] => {
  let small = 0
  let large = 0
  for (const sample of samples)
    for (let record = 1; record < sample.count; record++) {
      if (sample.timeHi(record) !== sample.timeHi(record - 1)) continue
      const step = sample.timeLo(record) - sample.timeLo(record - 1)
      if (step >= 0 && step < 64) small++
      else large++
    }
  return small > large ? maskOf(samples) : 'time'
}

/** Thumb's return addresses are odd; its kernels of two CPUs keep them in one bit, ARM's others in two. */
const maskOf = (samples: readonly Sample[]): 1 | 3 => {
  let odd = 0
  let records = 0
  for (const sample of samples)
    for (let record = 0; record < sample.count; record++, records++)
      odd += sample.parent(record) & 1
  return 2 * odd > records ? 1 : 3
}

/**
 * The form of the records of a file's zones: the one that most of them look like, and {@link wide} where none
 * is believed.
 *
 * @param zones those that are not empty; their ends are looked at
 * @param wordSize what a user says of the machine
 */
export const formOf = (
  zones: readonly FtraceZone[],
  endian: Endian,
  wordSize: WordSize | undefined,
): FtraceForm => {
  const sampled = zones.slice(0, sampledZones)
  // pstore_blk's zones say nothing of the kernel; it came with Linux 5.8.
  const isOld = sampled.some(({ kernel }) => kernel > 0 && kernel < firstWithTime)
  const ends = sampled.map(({ bytes }) => bytes.subarray(-sampledBytes))
  const longest = Math.max(0, ...ends.map(({ length }) => length))
  const samplesOf = (form: FtraceForm): Sample[] => ends.map(end => new Sample(end, endian, form))
  const fallback = wordSize === 32 ? (isOld ? oldNarrow : narrow) : wide
  const bestOf = (candidates: readonly FtraceForm[]): FtraceForm | null => {
    let best: FtraceForm | null = null
    let bestScore = 0
    for (const form of candidates) {
      if (wordSize !== undefined && wordSize !== 8 * form.word) continue
      const samples = samplesOf(form)
      const score = scoreOf(samples)
      if (score <= bestScore || score < enough) continue
      if (form.word === 4 && wordSize === undefined && !isCertain(samples, longest)) continue
      best = form
      bestScore = score
    }
    return best
  }
  // A CPU's number could be a time, but no time a number of a CPU: old kernels' forms come first.
  const best = (isOld ? bestOf(oldForms) : null) ?? bestOf(forms) ?? fallback
  if (best.word === 8 || best.cpu === 'field') return best
  const cpu = best.time ? cpuOf(samplesOf(best)) : maskOf(samplesOf(best))
  return cpu === best.cpu ? best : { ...best, cpu }
}
