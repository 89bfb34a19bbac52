/** Why libfuse's mount was refused. */
import { spawn } from 'node:child_process'
import { reasonIn, searched } from '../fusermount.js'

/**
 * Ask fusermount once more for its reason: it prints it, but libfuse closes its stderr.
 *
 * @param options the mount options that are not libfuse's own
 * @returns fusermount's message; null where it prints none
 */
export const refusal = (mountpoint: string, options: readonly string[]): Promise<string | null> =>
  new Promise(resolve => {
    const list = options.length ? ['-o', options.join()] : []
    const asked = spawn('fusermount', [...list, '--', mountpoint], {
      // fusermount sends its /dev/fuse there.
      env: { ...searched, _FUSE_COMMFD: '3' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    })
    let said = ''
    asked.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text))
    asked.on('error', () => resolve(null))
    asked.on('close', code => {
      // This time the mount worked: the obstacle is gone.
      if (code === 0)
        spawn('fusermount', ['-u', '-z', '--', mountpoint], { env: searched, stdio: 'ignore' })
      resolve(said ? reasonIn(said) : null)
    })
  })
