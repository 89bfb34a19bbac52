/** What the shipped program keeps in memory for itself while nothing happens. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { killAll, processesOf } from '../program.js'
import { inMemory, print } from './measure.js'
import { installIn, sampleIn } from './shipped.js'

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
/** What was put off until there is time for it is done after so many ms. */
const rest = 3000

/** Wait until a process does nothing, and print what nobody else has of its memory. */
const printIdle = async (what: string, pid: number): Promise<void> => {
  await pause(rest)
  const rollup = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  const megabytes = (name: string): string =>
    (Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(rollup)![1]) / 1000).toFixed(1)
  print(what, `${megabytes('Private_Dirty')} MB private, ${megabytes('Rss')} MB resident`)
}

const run = (command: string, args: readonly string[]): void => {
  const { status, stderr } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

const benchMount = async (program: string, folder: string): Promise<void> => {
  const { region, layout } = sampleIn(folder)
  const mountpoint = `${folder}/mnt`
  fs.mkdirSync(mountpoint)
  run(process.execPath, [program, 'mount', region, mountpoint, ...layout])
  try {
    run('sh', ['-c', 'ls -lR "$1" && find "$1" -type f -exec cat {} +', 'sh', mountpoint])
    const { pid } = processesOf(mountpoint).find(({ args }) => args[1] === program)!
    await printIdle('a mount, after ls and cat of all', pid)
  } finally {
    run('umount', [mountpoint])
  }
}

const benchTty = async (program: string, folder: string): Promise<void> => {
  const region = `${folder}/tty.img`
  const layout = ['--record-size', '0', '--console-size', '0', '--pmsg-size', '0']
  layout.push('--ftrace-size', '0', '--tty-size', '1M')
  run(process.execPath, [program, 'format', region, '--mem-size', '1M', ...layout])
  for (const [what, script] of [
    ['tty, idle', 'echo ready; sleep 1000'],
    ['tty, idle after 50 MB', 'yes | head -c 50M; echo ready; sleep 1000'],
  ] as const) {
    const args = [program, 'tty', region, ...layout, '--', 'sh', '-c', script]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await new Promise<void>(resolve =>
        child.stdout.on('data', (bytes: Buffer) => bytes.includes('ready') && resolve()),
      )
      await printIdle(what, child.pid!)
    } finally {
      killAll(child.pid!)
    }
  }
}

export const benchMemory = (): Promise<void> =>
  inMemory(async folder => {
    const program = installIn(folder)
    await benchMount(program, folder)
    await benchTty(program, folder)
  })
