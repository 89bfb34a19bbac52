/** A thousand backends in one mount, against a mount of one. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { format, type AttachOptions, attach } from '#src/index.js'
import { daemonOf, program } from '../program.js'
import { inMemory, inTurns, print } from './measure.js'
import { benchNeighbours } from './neighbours.js'

const count = 1000
const K = 1024
const layout: AttachOptions = {
  mem_size: 128 * K,
  record_size: 16 * K,
  console_size: 32 * K,
  pmsg_size: 16 * K,
  ftrace_size: 0,
}

/** Regions as guests leave them, and a config file that names the first `n`. */
const makeRegions = (folder: string): ((n: number) => string) => {
  const template = `${folder}/template.img`
  format(template, layout)
  const backend = attach(template, layout)
  backend.write({ type: 'console', bytes: Buffer.alloc(40 * K, 'what a guest said\n') })
  backend.write({ type: 'dmesg', bytes: Buffer.alloc(15 * K, 'Panic#1 Part1\nwhy it died\n') })
  backend.close()
  const lines = Object.entries(layout).map(([name, size]) => `${name} = ${size}\n`)
  const tables = Array.from({ length: count }, (_, i) => {
    fs.copyFileSync(template, `${folder}/guest${i}.img`)
    return `[backends.guest${i}]\nsource = "guest${i}.img"\n${lines.join('')}`
  })
  return n => {
    const config = `${folder}/${n}.toml`
    fs.writeFileSync(config, `backend = "all"\n${tables.slice(0, n).join('')}`)
    return config
  }
}

const ratio = (many: number, one: number, unit: string): string =>
  `${many.toFixed(0)} ${unit}, ${(many / one).toFixed(1)} × one backend (${one.toFixed(0)} ${unit})`

export const benchBackends = (): Promise<void> =>
  inMemory(async folder => {
    await benchNeighbours(folder)
    const configOf = makeRegions(folder)
    const mounts = [count, 1].map(n => {
      const mountpoint = `${folder}/mnt${n}`
      fs.mkdirSync(mountpoint)
      const config = configOf(n)
      const mount = (): void => {
        execFileSync(process.execPath, [program, 'mount', '--config', config, mountpoint])
      }
      const unmount = (): void => {
        execFileSync('fusermount3', ['-u', mountpoint])
      }
      return { mountpoint, mount, unmount }
    })
    const [many, one] = await inTurns(
      ...mounts.map(({ mount, unmount }) => () => {
        mount()
        unmount()
      }),
    )
    print('mount 1,000 backends of 128 KiB (goal 5000 ms)', ratio(many, one, 'ms'))
    for (const { mount } of mounts) mount()
    try {
      const listing = (command: string) =>
        inTurns(
          ...mounts.map(
            ({ mountpoint }) =>
              () =>
                execFileSync('sh', ['-c', command], { cwd: mountpoint, stdio: 'ignore' }),
          ),
        )
      for (const [what, command] of [
        ['list its root: ls (goal 1000 ms)', 'ls'],
        ['list its root: ls -l (goal 1000 ms)', 'ls -l'],
        ['list all of it: ls -lR', 'ls -lR'],
        ['read all of it: cat */*', 'cat */*'],
      ]) {
        const [listed, listedOne] = await listing(command)
        print(what, ratio(listed, listedOne, 'ms'))
      }
      const [held, heldOne] = mounts.map(({ mountpoint }) => {
        const pid = daemonOf(mountpoint)
        const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
        return { rss: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024, pid }
      })
      print('memory of the daemon after that (goal 200 MB)', ratio(held.rss, heldOne.rss, 'MB'))
      const open = ({ pid }: { pid: number }): number => fs.readdirSync(`/proc/${pid}/fd`).length
      print('its open files', ratio(open(held), open(heldOne), ''))
    } finally {
      for (const { unmount } of mounts) unmount()
    }
  })
