/** What a run of the shipped program takes before it does anything, beside what Node itself takes. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { inMemory, median, print } from './measure.js'
import { installIn, sampleIn } from './shipped.js'

const rounds = 15

const run = (command: string, args: readonly string[]): void => {
  const { status, stderr } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

export const benchStart = (): Promise<void> =>
  inMemory(async folder => {
    const { region, layout } = sampleIn(folder)
    const program = installIn(folder)
    const mountpoint = `${folder}/mnt`
    fs.mkdirSync(mountpoint)
    const pstorefs = (...args: string[]): void => run(process.execPath, [program, ...args])
    const works: { [what: string]: () => void } = {
      'node -e 0': () => run(process.execPath, ['-e', '0']),
      '--version': () => pstorefs('--version'),
      'ls of 128 KiB': () => pstorefs('ls', region, ...layout),
      'write console': () => pstorefs('write', 'console', region, ...layout),
    }
    // As root only: other users' fusermount3 takes another while.
    if (process.getuid!() === 0)
      works['mount, to the first ls'] = () => {
        pstorefs('mount', region, mountpoint, ...layout)
        fs.readdirSync(mountpoint)
      }
    const ratios: number[][] = Object.keys(works).map(() => [])
    for (let round = -1; round < rounds; round++) {
      let node = 0
      for (const [i, work] of Object.values(works).entries()) {
        const start = performance.now()
        work()
        const took = performance.now() - start
        if (i === 0) node = took
        if (round >= 0) ratios[i].push(took / node)
      }
      if (fs.readdirSync(mountpoint).length > 0) run('umount', [mountpoint])
    }
    for (const [i, what] of Object.keys(works).entries())
      if (i > 0) print(what, `${median(ratios[i]).toFixed(1)} × node -e 0`)
  })
