/**
 * What a user says of a region, made what a source can be opened with: `layout` is read, and addresses of a
 * machine's memory become offsets in the source.
 */
import { StoreError } from '../../pstore/errors.js'
import type { ParameterTable } from '../../pstore/parameters.js'
import type { Region } from '../../region/region.js'
import { saidByZones, type RamoopsParameters } from './parameters.js'
import { readLayout } from './layout-file.js'
import { elfSegments } from './probe/elf.js'

/** What may be said beside the parameters, by whoever attaches. */
interface Given extends RamoopsParameters {
  report?: (line: string) => void
}

/** Opens all of a source, to read it. */
type OpenSource = (path: string, options: { readOnly: true }) => Region

const hex = (n: number): string => `0x${n.toString(16)}`

/**
 * Where an address that a file says is in a source; null where the source does not tell.
 *
 * A file of only the region has its length, and an ELF core says which memory it has.
 */
const offsetOf = (
  region: Region,
  address: number | undefined,
  size: number | undefined,
): number | null => {
  if (size !== undefined && region.length === size) return 0
  if (address === undefined) return null
  const segment = elfSegments(region)?.find(
    at => address >= at.address && address < at.address + at.length,
  )
  return segment ? segment.offset + address - segment.address : null
}

/**
 * The parameters with which a source is opened.
 *
 * @param table how a layout file's texts become values
 * @param open null where the source is still to be made: of the region alone
 * @throws StoreError where the layout file says none, or an address is below the base
 */
export const resolveGiven = <G extends Given>(
  path: string,
  given: G,
  table: ParameterTable,
  open: OpenSource | null,
): Omit<G, 'layout' | 'base'> => {
  const { layout, base, ...explicit } = given
  const options = { ...explicit }
  if (layout !== undefined) {
    const { parameters, open: left } = readLayout(layout, given.mem_address, table)
    const { report = () => {} } = given
    // A list of zones says sizes and order, and they do not go together.
    const isHidden = (name: string): boolean =>
      given.zones !== undefined && saidByZones.some(said => said === name)
    for (const [name, value] of Object.entries(parameters))
      if (!isHidden(name) && Reflect.get(options, name) === undefined)
        Object.assign(options, { [name]: value })
    const guessed = left.filter(name => name !== 'endian' && !Reflect.has(given, name))
    if (guessed.length && parameters.record_size !== undefined)
      report(`${path}: ${layout} leaves ${guessed.join(', ')} open: options can say what it was`)
    if (base === undefined && given.mem_address === undefined) {
      const region = open?.(path, { readOnly: true })
      try {
        const { mem_address, mem_size } = options
        const offset = region ? offsetOf(region, mem_address, mem_size) : 0
        if (offset !== null) {
          if (region && mem_address && offset === 0)
            report(`${path}: has the length of the region alone, so it starts at 0 here`)
          options.mem_address = offset
        } else if (mem_address === undefined)
          throw new StoreError(
            `${path}: ${layout} does not say where the region is: give --mem-address, or see \`pstorefs probe\``,
          )
      } finally {
        region?.close()
      }
    }
  }
  if (base !== undefined && options.mem_address !== undefined) {
    if (options.mem_address < base)
      throw new StoreError(
        `${path}: mem_address ${hex(options.mem_address)} is below its base ${hex(base)}`,
      )
    options.mem_address -= base
  }
  return options
}
