/** What a run of the shipped program takes before it does anything, beside what Node itself takes. */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { gunzipSync } from 'node:zlib'
import { inMemory, median, print } from './measure.js'

const project = path.resolve(import.meta.dirname, '../..')
const rounds = 15

const run = (command: string, args: readonly string[]): void => {
  const { status, stderr } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

/** The program as npm installs it: with koffi alone, as the optional packages of a clone take their time. */
const installIn = (folder: string): string => {
  for (const name of ['package.json', 'bundle'])
    fs.cpSync(path.join(project, name), `${folder}/${name}`, { recursive: true })
  fs.mkdirSync(`${folder}/node_modules`)
  for (const name of ['koffi', '@koromix'])
    fs.symlinkSync(`${project}/node_modules/${name}`, `${folder}/node_modules/${name}`)
  return `${folder}/bundle/pstorefs.js`
}

export const benchStart = (): Promise<void> =>
  inMemory(async folder => {
    const sample = path.join(project, 'scripts/sample')
    const layout = fs.readFileSync(`${sample}/options`, 'utf8').split(/\s+/).filter(Boolean)
    const region = `${folder}/region.img`
    fs.writeFileSync(region, gunzipSync(fs.readFileSync(`${sample}/region.img.gz`)))
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
