/** `pstorefs tty`: throughput beside util-linux `script`, appends a line, and what a SIGKILL loses. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { attach, format, type AttachOptions } from '#src/index.js'
import { killAll } from '../program.js'
import { inMemory, median, print } from './measure.js'
import { installIn } from './shipped.js'

const layout: AttachOptions = {
  record_size: 0,
  console_size: 0,
  pmsg_size: 0,
  ftrace_size: 0,
  tty_size: 2 ** 20,
}
const flags = Object.entries(layout).map(([name, value]) => `--${name}=${value}`)
/** What a command prints: lines as people print them, the same where the terminal adds no carriage returns, and `yes`. */
const floodsIn = (folder: string): { what: string; command: string }[] => {
  const printed = 50_000_000
  const linesOf = (length: number): string => {
    const file = `${folder}/lines${length}`
    fs.writeFileSync(file, `${'x'.repeat(length - 1)}\n`.repeat(Math.ceil(printed / length)))
    return file
  }
  return [
    { what: 'lines of 62 bytes', command: `cat ${linesOf(62)}` },
    { what: 'lines of 200 bytes', command: `cat ${linesOf(200)}` },
    { what: 'lines of 62 bytes, raw', command: `stty raw; cat ${linesOf(62)}` },
    { what: 'yes', command: `yes | head -c ${printed}` },
  ]
}
const rounds = 9
const lines = 100_000
const kills = 20

const run = (command: string, args: string[]): string => {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (status !== 0) throw error ?? new Error(`${command}: ${status}: ${stderr.toString()}`)
  return stdout.toString()
}

/** What a run takes: all of it, what it printed alone, and the processor's time, each in seconds. */
interface Taken {
  wall: number
  printing: number
  processor: number
}

/** Run a command without output, as a screen would make both wait; it notes in a file how long it printed. */
const runSilently = (note: string, command: string, args: string[]): Taken => {
  const timed = 'TIMEFORMAT="%3R %3U %3S"; time "$@"'
  const { status, stderr } = spawnSync('bash', ['-c', timed, 'bash', command, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) throw new Error(`${command}: ${status}: ${stderr.toString()}`)
  const [wall, user, system] = stderr.toString().trim().split(/\s+/).map(Number)
  return { wall, printing: Number(fs.readFileSync(note)) / 1e9, processor: user + system }
}

export const benchTty = (): Promise<void> =>
  inMemory(async folder => {
    const regions = [0, 16].map(ecc => {
      const region = `${folder}/ecc${ecc}.img`
      format(region, { ...layout, ecc, mem_size: 2 ** 20 })
      return { ecc, region, options: [...flags, `--ecc=${ecc}`] }
    })
    const installed = `${folder}/installed`
    fs.mkdirSync(installed)
    const shipped = installIn(installed)
    const note = `${folder}/note`
    for (const { what, command } of floodsIn(folder)) {
      const noting = `start=$(date +%s%N); ${command}; echo $(($(date +%s%N) - start)) >${note}`
      // As a Reed-Solomon code costs the same whatever is printed, one flood shows it.
      const kept = regions.filter(({ ecc }) => ecc === 0 || what === 'yes')
      const works = [
        () => runSilently(note, 'script', ['-q', '-c', noting, `${folder}/typescript`]),
        ...kept.map(({ region, options }) => {
          const args = [shipped, 'tty', region, ...options, '--', 'sh', '-c', noting]
          return () => runSilently(note, process.execPath, args)
        }),
      ]
      const taken = works.map((): Taken[] => [])
      for (let round = -1; round < rounds; round++)
        for (const [i, work] of works.entries()) {
          const took = work()
          if (round >= 0) taken[i].push(took)
        }
      const [script, ...ours] = taken.map(runs => ({
        wall: median(runs.map(({ wall }) => wall)),
        printing: median(runs.map(({ printing }) => printing)),
        processor: median(runs.map(({ processor }) => processor)),
      }))
      for (const [i, { ecc }] of kept.entries()) {
        const { wall, printing, processor } = ours[i]
        const [rates, alone, work] = [
          script.wall / wall,
          script.printing / printing,
          processor / script.processor,
        ].map(ratio => ratio.toFixed(2))
        print(
          `tty, 50 MB, ${what}, ecc ${ecc}`,
          `${rates} × the rate of script (${alone} × without starts), ${work} × its processor's time`,
        )
      }
    }
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
          lost.push(await killed(shipped, folder, region, { ...layout, ecc }, options, pause))
        lost.sort((a, b) => a - b)
        print(
          `tty, killed, ${pause ? `a line every ${pause} ms` : 'lines flat out'}, ecc ${ecc}`,
          `lost of what write(2) took: median ${lost[kills >> 1]} bytes, most ${lost.at(-1)}`,
        )
      }
  })

/** Kill all of a session, and tell how many bytes were printed and are not kept. */
const killed = async (
  program: string,
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
