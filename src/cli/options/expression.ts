/** Regular expressions that users give: what they match in hostile text is found in bounded time. */
import vm from 'node:vm'
import { StoreError } from '../../pstore/errors.js'

/** Milliseconds for a batch of lines: what takes longer tries out ever more ways to match one. */
const patience = 5000

/** Why a text is no regular expression, in a line; true: it is one. */
export const checkExpression = (option: string, text: string | undefined): true | string => {
  try {
    new RegExp(text ?? '')
    return true
  } catch {
    return `${option}: ${text}: is no regular expression`
  }
}

export class Expression {
  readonly #expression: RegExp
  #lines: readonly string[] = []
  readonly #context = vm.createContext({
    test: () => this.#lines.map(line => this.#expression.test(line)),
  })

  /** @param option for messages */
  constructor(
    readonly option: string,
    readonly text: string,
  ) {
    this.#expression = new RegExp(text)
  }

  /**
   * Which of some lines match.
   *
   * @throws StoreError where that takes too long
   */
  test(lines: readonly string[]): boolean[] {
    this.#lines = lines
    try {
      return matcher.runInContext(this.#context, { timeout: patience }) as boolean[]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
      throw new StoreError(`${this.option}: ${this.text}: takes too long: write a simpler one`)
    }
  }
}

/** Only code that runs in a context can be ended. */
const matcher = new vm.Script('test()')
