/** The help: of the program, of a command, and of what many of them share. */
import { backendName, driverNames } from '../attach.js'
import { commandGroups } from './command-names.js'
import { loadCommands } from './commands.js'
import { parameters } from './options/parameters.js'
import { layOutHelp } from './show/help.js'

/** The drivers, and what Linux calls their backends where that is another name. */
const driverList = driverNames
  .map((name, i) => {
    const other = backendName(name)
    return i === 0 ? `${name} (the default)` : other === name ? name : `${name} (${other})`
  })
  .join(', ')

const source = `\
SOURCE is [DRIVER:]PATH or the name of a backend in the config file. PATH is a file, a folder, a block device or a \
dump, compressed or not; - is standard input. DRIVER is ${driverList}; without it the driver is found out by the content.`

/** The program's help. */
const overview = async (width: number): Promise<string> => {
  const groups = await Promise.all(
    Object.entries(commandGroups).map(async ([purpose, names]) => {
      const loaded = await loadCommands(names)
      const rows = names.map((name, i) => `  ${name.padEnd(10)}  ${String(loaded[i]!.describe)}`)
      return `${purpose}:\n${rows.join('\n')}`
    }),
  )
  return layOutHelp(
    `\
Usage: pstorefs COMMAND SOURCE [options]
       pstorefs SOURCE MOUNTPOINT [-o OPTION,…]  as mount(8) calls it

The last words of a dead machine, as files: what its kernel wrote to a persistent region, the kernel's pstore in user \
space.

${groups.join('\n\n')}

Examples:
  pstorefs show region.img  the newest crash
  pstorefs cat region.img  the newest dump
  pstorefs mount region.img /mnt  all records, as files

${source}

Help:
  pstorefs help COMMAND  a command's options, and examples
  pstorefs help layout  how to say where a region's zones lie
  pstorefs version  this program's version
  pstorefs completion  a completion script for bash or zsh: pstorefs completion bash >> ~/.bashrc
`,
    width,
  )
}

/** The help of the options that describe a region. */
const layout = (width: number): string => {
  const rows = Object.entries(parameters).map(
    ([name, { describe }]) => `  --${name.replaceAll('_', '-')}  ${describe}`,
  )
  return layOutHelp(
    `\
The layout of a region: where its zones lie

A region does not describe itself. Without these options the layout is found from the bytes, and what is guessed is \
said; pstorefs probe shows how. What is written, erased or archived needs one that is certain: from the bytes, from \
what pstorefs format made, from --layout FILE, or from these options.

Else it is what the kernel was booted with: ramoops.record_size=65536 there is --record-size 64K here, or \
--record_size, or record_size=64K after -o and in a config file. Sizes: 65536, 0x10000, 64K, 2M. Where one of these \
options is given, the others have Linux's defaults (4096; tty 0, ecc 0).

Options of all commands with a SOURCE:
${rows.join('\n')}

Examples:
  pstorefs ls region.img --record-size 64K --console-size 256K --ecc 1
  pstorefs ls ram.img --mem-address 0x8000000 --mem-size 1M --record-size 32K
  pstorefs ls dump.bin --layout board.dtb --base 0x80000000
  pstorefs mount guest.img /mnt --preset crosvm

${source}
`,
    width,
  )
}

/** Help that is no command's, by its name; the program's has none. */
export const topics: { readonly [name: string]: (width: number) => string | Promise<string> } = {
  '': overview,
  layout,
}
