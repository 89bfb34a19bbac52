/** The options that say what a source is: the kernel's own names, on the command line and after -o. */
import type { Argv } from 'yargs'
import type { AttachOptions } from '../../attach.js'
import { StoreError } from '../../pstore/errors.js'
import { drivers, type Parameter } from '../../backends/index.js'

/** The drivers that take each parameter, and what the first of them says of it. */
const known = new Map<string, Parameter & { drivers: string[] }>()
for (const [driver, { parameters }] of Object.entries(drivers))
  for (const [name, parameter] of Object.entries(parameters)) {
    const before = known.get(name)
    if (before) before.drivers.push(driver)
    else known.set(name, { ...parameter, drivers: [driver] })
  }

/** The driver of a source that names none: its parameters need no name before them. */
const [usual = ''] = Object.keys(drivers)

/** Every option that says what a source is, under the kernel's name. */
export const parameters: { readonly [name: string]: Parameter } = Object.fromEntries(
  Array.from(known, ([name, { drivers, ...parameter }]) => {
    const prefix = drivers.includes(usual) ? '' : `${drivers.join(', ')}: `
    return [name, { ...parameter, describe: `${prefix}${parameter.describe}` }]
  }),
)

/** Take one parameter, by its name and text. */
export const setParameter = (options: AttachOptions, name: string, text: string): void => {
  const parameter = parameters[name]
  if (!parameter) throw new StoreError(`${name}: not known`)
  const { parse, means } = parameter
  Object.assign(options, { [means ?? name]: parse(name, text) })
}

const dashed = (name: string): string => name.replaceAll('_', '-')

/** The kernel's own spelling for ours: `--record_size` is `--record-size`. */
export const dashOptions = (args: readonly string[]): string[] => {
  const end = args.indexOf('--')
  return args.map((arg, i) =>
    end >= 0 && i > end ? arg : arg.replace(/^--[a-z]+(_[a-z]+)+(?==|$)/, dashed),
  )
}

/** Offer the parameters on a command. */
export const withParameters = <T>(argv: Argv<T>): Argv<T> => {
  for (const [name, { describe }] of Object.entries(parameters))
    argv.option(dashed(name), {
      describe,
      type: 'string',
      requiresArg: true,
      group: 'Layout of the region:',
    })
  return argv
}

/** Take the parameters out of a command's help. */
export const hideParameters = <T>(argv: Argv<T>): Argv<T> => {
  for (const name of Object.keys(parameters)) argv.hide(dashed(name))
  return argv
}

/** The parameters among a command's arguments; of one that stands twice the last counts. */
export const parametersOf = (args: { [name: string]: unknown }): AttachOptions => {
  const options: AttachOptions = {}
  for (const name of Object.keys(parameters)) {
    const value = args[dashed(name)]
    const text = Array.isArray(value) ? value.at(-1) : value
    if (text !== undefined) setParameter(options, name, String(text))
  }
  return options
}
