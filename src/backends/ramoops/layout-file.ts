/**
 * `--layout FILE`: a region's parameters, as a file says them: what describes a region (probe/described.ts), or
 * what `probe --json` printed, or tables of TOML with the same names.
 */
import { parse } from 'smol-toml'
import { readWhole } from '../../native/open.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import type { ParameterTable } from '../../pstore/parameters.js'
import { Shape } from '../../pstore/shape.js'
import { sizeParameters, type RamoopsParameters } from './layout.js'
import { readDescription } from './probe/described.js'

/** What a file says of a region. */
export interface SaidLayout {
  parameters: RamoopsParameters
  /** The parameters that it leaves open. */
  open: string[]
}

/** Bytes of a file with options: a thousand times what a region takes. */
const largestFile = 2 ** 20
/** Regions that a message lists. */
const mostListed = 8

type Table = { readonly [name: string]: unknown }

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Parameters by their names and texts. Names that are no parameter's are the file's own. */
const parametersOf = (
  said: Iterable<readonly [string, unknown]>,
  table: ParameterTable,
): RamoopsParameters => {
  const parameters: RamoopsParameters = {}
  for (const [dashed, value] of said) {
    const name = dashed.replaceAll('-', '_')
    const parameter = Object.hasOwn(table, name) ? table[name] : undefined
    if (!parameter || name === 'layout') continue
    if (!['string', 'number', 'bigint'].includes(typeof value))
      throw new StoreError(`${name}: must be a number or a text`)
    Object.assign(parameters, { [parameter.means ?? name]: parameter.parse(name, String(value)) })
  }
  return parameters
}

/** A line of options, as probe and format print it. */
export const parseOptions = (line: string, table: ParameterTable): RamoopsParameters =>
  parametersOf(
    [...line.matchAll(/--([a-z-]+)[ =](\S+)/g)].map(
      ([, name = '', value = '']) => [name, value] as const,
    ),
    table,
  )

/** A region of probe's JSON or of TOML: its `options`, where it has them, say all. */
const regionOf = (said: Table, table: ParameterTable): SaidLayout => {
  const { options, open, order, ...rest } = said
  const members = Object.entries({ ...rest, ...(typeof order === 'string' ? { order } : {}) })
  return {
    parameters:
      typeof options === 'string' ? parseOptions(options, table) : parametersOf(members, table),
    open: Array.isArray(open) ? open.filter(name => typeof name === 'string') : [],
  }
}

/** The regions in a document: `regions` as probe has them, the tables of `backends`, or the document itself. */
const regionsIn = (document: unknown, table: ParameterTable): SaidLayout[] => {
  if (!isTable(document)) return []
  const { regions, backends } = document
  const all = Array.isArray(regions)
    ? regions
    : isTable(backends)
      ? Object.values(backends)
      : [document]
  return all
    .filter(isTable)
    .map(said => regionOf(said, table))
    .filter(({ parameters }) => Object.keys(parameters).length > 0)
}

const parseDocument = (text: string): unknown => {
  if (/^\s*[{[]\s*"/.test(text) || /^\s*\{\s*\}/.test(text)) return Shape.parse(text, 'it').value
  try {
    return parse(text)
  } catch {
    // What is no TOML says no layout.
    return null
  }
}

const hex = (n: number): string => `0x${n.toString(16)}`

/** The region that is meant: of several, the one at the address. */
const onlyOne = (
  all: readonly SaidLayout[],
  address: number | undefined,
  notes: readonly string[],
): SaidLayout => {
  const at = all.filter(({ parameters }) => parameters.mem_address === address)
  const meant = all.length > 1 && address !== undefined ? at : all
  const [first] = meant
  if (meant.length === 1 && first) return first
  if (all.length === 0)
    throw new StoreError(
      notes[0] ??
        'says no layout: give a device tree, a command line, a log, or what `probe --json` printed',
    )
  const listed = all
    .slice(0, mostListed)
    .map(({ parameters }) => `--mem-address ${hex(parameters.mem_address ?? 0)}`)
  throw new StoreError(`describes ${all.length} regions: say which: ${listed.join(', ')}`)
}

/** The parameters that a description settles: where it leaves sizes open, it says only where the region is. */
const settled = ({ parameters, open }: SaidLayout): SaidLayout => {
  const { mem_address, mem_size } = parameters
  const isSized = !sizeParameters.some(name => open.includes(name))
  const known: RamoopsParameters = isSized
    ? parameters
    : {
        ...(mem_address === undefined ? {} : { mem_address }),
        ...(mem_size === undefined ? {} : { mem_size }),
      }
  const isOpen = (name: string): boolean =>
    (name === 'mem_address' || name === 'mem_size') && open.includes(name)
  const parts = Object.entries(known).filter(
    ([name, value]) => value !== undefined && !isOpen(name),
  )
  return { parameters: Object.fromEntries(parts), open }
}

/**
 * Read a file that says a region's layout.
 *
 * @param address of several regions, the one that is meant
 * @param table how texts become values
 * @throws StoreError `FILE: WHAT` where it says none, or several
 */
export const readLayout = (
  file: string,
  address: number | undefined,
  table: ParameterTable,
): SaidLayout => {
  const described = readDescription(file)
  try {
    if (described) return settled(onlyOne(described.regions, address, described.notes))
    const text = readWhole(file, largestFile).toString()
    return settled(onlyOne(regionsIn(parseDocument(text), table), address, []))
  } catch (error) {
    assertStoreError(error)
    throw error.message.startsWith(`${file}: `)
      ? error
      : new StoreError(`${file}: ${error.message}`)
  }
}
