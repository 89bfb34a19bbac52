/** Variables of the environment. No message has a value of them, since URLs and headers hold secrets. */
import { StoreError } from '../../pstore/errors.js'

export interface Environment {
  readonly [name: string]: string | undefined
}

/** A variable that is set, and its name. */
export interface Variable {
  readonly name: string
  readonly value: string
}

/** The first of some that is set; an empty one is as good as none. */
export const find = (env: Environment, names: readonly string[]): Variable | null => {
  for (const name of names) {
    const value = env[name]?.trim()
    if (value) return { name, value }
  }
  return null
}

/**
 * A URL of HTTP.
 *
 * @param what it is, for messages
 * @param example one that would do
 * @throws StoreError where it is none
 */
export const parseUrl = (text: string, what: string, example: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new StoreError(`${what}: give a URL such as ${example}`)
  try {
    decodeURIComponent(`${url.username}${url.password}`)
  } catch {
    throw new StoreError(`${what}: its user and password are not percent-encoded`)
  }
  return url
}
