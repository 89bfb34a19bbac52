/** The options that describe a source: under the kernel's own names, on the command line and after -o. */
import type { Argv } from 'yargs'
import type { AttachOptions } from '../../attach.js'
import { StoreError } from '../../pstore/errors.js'
import { drivers, type Parameter } from '../../backends/index.js'

/** Each parameter as its first driver describes it, and the drivers that take it. */
const known = new Map<string, Parameter & { drivers: string[] }>()
for (const [driver, { parameters }] of Object.entries(drivers))
  for (const [name, parameter] of Object.entries(parameters)) {
    const before = known.get(name)
    if (before) before.drivers.push(driver)
    else known.set(name, { ...parameter, drivers: [driver] })
  }

/** The default driver: its parameters are described without its name. */
const [usual = ''] = Object.keys(drivers)

/** Every option that describes a source, under the kernel's name. */
export const parameters: { readonly [name: string]: Parameter } = Object.fromEntries(
  Array.from(known, ([name, { drivers, ...parameter }]) => {
    const prefix = drivers.includes(usual) ? '' : `${drivers.join(', ')}: `
    return [name, { ...parameter, describe: `${prefix}${parameter.describe}` }]
  }),
)

/** Set a parameter by its name and text. */
export const setParameter = (options: AttachOptions, name: string, text: string): void => {
  const parameter = parameters[name]
  if (!parameter) throw new StoreError(`${name}: not known`)
  const { parse, means } = parameter
  Object.assign(options, { [means ?? name]: parse(name, text) })
}

const dashed = (name: string): string => name.replaceAll('_', '-')

/** Accept the kernel's spelling of options: `--record_size` is `--record-size`. */
export const dashOptions = (args: readonly string[]): string[] => {
  const end = args.indexOf('--')
  return args.map((arg, i) =>
    end >= 0 && i > end ? arg : arg.replace(/^--[a-z]+(_[a-z]+)+(?==|$)/, dashed),
  )
}

/** The options as they are typed. */
export const layoutOptions: readonly string[] = Object.keys(parameters).map(
  name => `--${dashed(name)}`,
)

/** Offer the parameters on a command; their help is a topic of its own. */
export const withParameters = <T>(argv: Argv<T>): Argv<T> => {
  for (const [name, { describe }] of Object.entries(parameters))
    argv.option(dashed(name), { describe, type: 'string', requiresArg: true, hidden: true })
  return argv.epilogue(
    'The layout of the region is found from the bytes, or said by options such as --record-size 64K: pstorefs help layout.',
  )
}

/** The parameters among a command's arguments; where one is repeated, the last counts. */
export const parametersOf = (args: { [name: string]: unknown }): AttachOptions => {
  const options: AttachOptions = {}
  for (const name of Object.keys(parameters)) {
    const value = args[dashed(name)]
    const text = Array.isArray(value) ? value.at(-1) : value
    if (text !== undefined) setParameter(options, name, String(text))
  }
  return options
}
