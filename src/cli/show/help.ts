/** Help as people read it: yargs's, without its types, in columns that fit the terminal. */
import { wrap } from './describe.js'

/** The columns of help: of the terminal, within what is pleasant to read. A serial line's has 0: nobody knows. */
export const helpWidth = (): number => Math.min(100, Math.max(40, process.stdout.columns || 80))

/** Rows of an indented name and its description, as a table whose descriptions hang. */
const layOutRows = (rows: readonly (readonly [name: string, text: string])[], width: number) => {
  const longest = Math.max(...rows.map(([name]) => name.length))
  // A long name has its description on lines of its own.
  const column = Math.min(longest, Math.floor(width / 2)) + 2
  return rows.flatMap(([name, text]) => {
    if (!text) return [name]
    const [first = '', ...others] = wrap(text, width - column)
    const hanging = others.map(line => ' '.repeat(column) + line)
    if (name.length + 2 > column) return [name, ' '.repeat(column) + first, ...hanging]
    return [name.padEnd(column) + first, ...hanging]
  })
}

/** Notes of yargs's at the end of a line: `[string] [required]`. */
const notes = / {2}((?:\[[^\]]*\] ?)+)$/gm
/** Those that say nothing: types, and defaults that are what nobody has asked for. */
const noise = /\[(?:string|boolean|array|number|count|required|default: (?:false|none|\[\]))\] ?/g
const withoutNoise = (help: string): string =>
  help.replaceAll(notes, (_, all: string) => `  ${all.replaceAll(noise, '')}`.trimEnd())

/** A synopsis that is yargs's own, as the others are: `cat <source> [names..]` is `cat SOURCE [NAMES…] [options]`. */
const withSynopsis = (help: string): string =>
  help
    .replace(
      /^pstorefs \w+(?: [<[]\w+(?:\.\.)?[>\]])+$/m,
      line =>
        `${line.replaceAll(
          /<(\w+)>|\[(\w+)(\.\.)?\]/g,
          (_, needed?: string, other?: string, more?: string) =>
            needed ? needed.toUpperCase() : `[${other!.toUpperCase()}${more ? '…' : ''}]`,
        )} [options]`,
    )
    .replace(/^Positionals:$/m, 'Arguments:')

const isRow = (line: string): boolean => /^ {2,}\S/.test(line)

/** A row's name, which may be a line of an example, and its description. */
const rowOf = (line: string): readonly [string, string] => {
  const [, name = line, text = ''] = /^( +\S.*?)(?: {2,}(\S.*))?$/.exec(line) ?? []
  return [name, text]
}

/** Options that every command has, and the help of the program tells. */
const everywhere = /^ +-V, --version /

/**
 * Lay out what yargs says without wrapping.
 *
 * @param width in columns
 */
export const layOutHelp = (help: string, width: number): string => {
  const lines: string[] = []
  let rows: (readonly [string, string])[] = []
  const endRows = (): void => {
    lines.push(...(rows.length > 0 ? layOutRows(rows, width) : []))
    rows = []
  }
  for (const line of withSynopsis(withoutNoise(help)).split('\n')) {
    if (everywhere.test(line)) continue
    if (isRow(line)) rows.push(rowOf(line.trimEnd()))
    else {
      endRows()
      lines.push(...wrap(line, width))
    }
  }
  endRows()
  return `${lines.join('\n').trimEnd()}\n`
}
