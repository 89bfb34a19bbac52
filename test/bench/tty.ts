/** `pstorefs tty`: throughput beside util-linux `script`, appends a line, and what a SIGKILL loses. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { attach, format, type AttachOptions } from '#src/index.js'
import { killAll, program } from '../program.js'
import { inMemory, inTurns, print, rate } from './measure.js'

const layout: AttachOptions = {
  record_size: 0,
  console_size: 0,
  pmsg_size: 0,
  ftrace_size: 0,
  tty_size: 2 ** 20,
}
const flags = Object.entries(layout).map(([name, value]) => `--${name}=${value}`)
/** What the terminal makes of it: a carriage return for each line. */
const flood = { command: 'yes | head -c 50M', bytes: 75 * 2 ** 20 }
const lines = 100_000
const kills = 20

const run = (command: string, args: string[]): string => {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (status !== 0) throw error ?? new Error(`${command}: ${status}: ${stderr.toString()}`)
  return stdout.toString()
}

/** Run without output, as a screen would make both wait. */
const runSilently = (command: string, args: string[]): void => {
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`${command}: ${status}`)
}

export const benchTty = (): Promise<void> =>
  inMemory(async folder => {
    const regions = [0, 16].map(ecc => {
      const region = `${folder}/ecc${ecc}.img`
      format(region, { ...layout, ecc, mem_size: 2 ** 20 })
      return { ecc, region, options: [...flags, `--ecc=${ecc}`] }
    })
    const [script, ...kept] = await inTurns(
      () => runSilently('script', ['-q', '-c', flood.command, `${folder}/typescript`]),
      ...regions.map(
        ({ region, options }) =>
          () =>
            runSilently(
              process.execPath,
              [program, 'tty', region].concat(options, '--', 'sh', '-c', flood.command),
            ),
      ),
    )
    for (const [i, { ecc }] of regions.entries())
      print(
        `tty, ${flood.command}, ecc ${ecc}`,
        `${rate(flood.bytes, kept[i])}: ${(script / kept[i]).toFixed(2)} × the rate of script (${rate(flood.bytes, script)})`,
      )
    for (const { ecc, region } of regions) {
      const counted = path.join(import.meta.dirname, 'tty-counted.js')
      const options = JSON.stringify({ ...layout, ecc })
      const appends = Number(
        run(process.execPath, [counted, region, options, 'seq', String(lines)]),
      )
      print(
        `tty, seq ${lines}, a write(2) for each line, ecc ${ecc}`,
        `${appends} appends: ${(appends / lines).toFixed(4)} a line`,
      )
    }
    for (const pause of [0, 20])
      for (const { ecc, region, options } of regions) {
        const lost: number[] = []
        for (let i = 0; i < kills; i++)
          lost.push(await killed(folder, region, { ...layout, ecc }, options, pause))
        lost.sort((a, b) => a - b)
        print(
          `tty, killed, ${pause ? `a line every ${pause} ms` : 'lines flat out'}, ecc ${ecc}`,
          `lost of what write(2) took: median ${lost[kills >> 1]} bytes, most ${lost.at(-1)}`,
        )
      }
  })

/** Kill all of a session, and tell how many bytes were printed and are not kept. */
const killed = async (
  folder: string,
  region: string,
  layout: AttachOptions,
  options: string[],
  pause: number,
): Promise<number> => {
  const printer = path.join(import.meta.dirname, 'tty-lines.js')
  const noteFile = `${folder}/note`
  fs.writeFileSync(noteFile, '')
  const child = spawn(
    process.execPath,
    [program, 'tty', region].concat(
      options,
      '--',
      process.execPath,
      printer,
      noteFile,
      String(pause),
    ),
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const closed = new Promise(resolve => child.on('close', resolve))
  const note = (): number => {
    const bytes = fs.readFileSync(noteFile)
    return bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : 0
  }
  const start = 5 + Math.floor(Math.random() * (pause ? 5 : 5000))
  while (note() < start) await new Promise(resolve => setTimeout(resolve, 3))
  // Who keeps it first, and then who prints, which makes it more rather than less that is lost.
  killAll(child.pid!)
  await closed
  // It may still be dying.
  await new Promise(resolve => setTimeout(resolve, 20))
  const backend = attach(region, layout)
  try {
    const text = backend.find('tty-ramoops-0')!.read().toString('latin1')
    const kept = Array.from(text.matchAll(/^line (\d{9}): .*\r$/gm)).at(-1)!
    return Math.max(0, note() - Number(kept[1])) * (kept[0].length + 1)
  } finally {
    backend.close()
  }
}
