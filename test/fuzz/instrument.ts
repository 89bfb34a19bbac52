/** A hook for Node's module loader: counts what runs in the modules that a fuzzer is to explore. */
import { fileURLToPath } from 'node:url'
import type { LoadHook } from 'node:module'
import { createInstrumenter } from 'istanbul-lib-instrument'

/** What the URLs of those modules begin with. */
let prefixes: readonly string[] = []
const instrumenter = createInstrumenter({ esModules: true, compact: true })

export const initialize = (given: readonly string[]): void => {
  prefixes = given
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context)
  if (!prefixes.some(prefix => url.startsWith(prefix))) return loaded
  const source = Buffer.from(loaded.source as Uint8Array).toString()
  return { ...loaded, source: instrumenter.instrumentSync(source, fileURLToPath(url)) }
}
