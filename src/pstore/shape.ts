/**
 * What JSON gives, taken for what it has to be: a file that somebody else may have written is looked at as a whole
 * before anything of it is used.
 */
import { StoreError } from './errors.js'

/** A value, and where it stands. Each method throws a StoreError where the value is something else. */
export class Shape {
  readonly #within: Shape | null
  readonly #name: string | number

  /**
   * @param name in messages: `it`; of a member its own, in what it is `within`
   */
  constructor(
    readonly value: unknown,
    name: string | number,
    within: Shape | null = null,
  ) {
    this.#name = name
    this.#within = within
  }

  /** @throws StoreError where the text is no JSON */
  static parse(text: string, place: string): Shape {
    try {
      return new Shape(JSON.parse(text), place)
    } catch {
      throw new StoreError(`${place} is no JSON`, 'EIO')
    }
  }

  /** Where it stands: `it.records[3].name`. It is made where it is asked for, as thousands are right. */
  get place(): string {
    const name = this.#name
    if (!this.#within) return String(name)
    return `${this.#within.place}${typeof name === 'number' ? `[${name}]` : `.${name}`}`
  }

  #wrong(what: string): StoreError {
    return new StoreError(`${this.place} is no ${what}`, 'EIO')
  }

  /** A member of an object; one that is not there is `undefined`, which no other method takes. */
  member(name: string): Shape {
    const { value } = this
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.#wrong('object')
    const found: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
    return new Shape(found, name, this)
  }

  /** Does an object have a member? */
  has(name: string): boolean {
    return this.member(name).value !== undefined
  }

  items(): Shape[] {
    if (!Array.isArray(this.value)) throw this.#wrong('array')
    return this.value.map((item: unknown, n) => new Shape(item, n, this))
  }

  text(pattern = /^/): string {
    if (typeof this.value !== 'string' || !pattern.test(this.value)) throw this.#wrong('such text')
    return this.value
  }

  /** One of some texts. */
  one<T extends string>(of: readonly T[]): T {
    const found = of.find(text => text === this.value)
    if (found === undefined) throw this.#wrong(`${of.join(', ')}`)
    return found
  }

  flag(): boolean {
    if (typeof this.value !== 'boolean') throw this.#wrong('true or false')
    return this.value
  }

  /** A number of bytes, or of anything else that is counted. */
  count(): number {
    const { value } = this
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
      throw this.#wrong('number of anything')
    return value
  }

  /** A time from some moment on, in seconds. */
  seconds(): number {
    const { value } = this
    if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
      throw this.#wrong('number of seconds')
    return value
  }

  orNull<T>(take: (shape: Shape) => T): T | null {
    return this.value === null ? null : take(this)
  }
}
