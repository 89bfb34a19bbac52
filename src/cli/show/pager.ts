/** Text for a terminal goes through a pager where it is longer than the screen, as journalctl's does. */
import { spawnSync } from 'node:child_process'
import { writeAll } from './output.js'

/** Quits where all fits, keeps colours, and chops no line. */
const lessOptions = 'FRX'

/** Print a text: plain where stdout is no terminal, `$PAGER` is empty or `cat`, or it fits. */
export const page = (text: string): void => {
  const bytes = Buffer.from(text)
  const { stdout, env } = process
  const pager = env.PAGER ?? 'less'
  const lines = text.split('\n').length
  if (!stdout.isTTY || pager === '' || pager === 'cat' || lines <= stdout.rows) {
    writeAll(bytes)
    return
  }
  const { error, status } = spawnSync('sh', ['-c', pager], {
    input: bytes,
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { LESS: lessOptions, ...env },
  })
  // 127: there is no such program.
  if (status === 127 || (error && status === null)) writeAll(bytes)
}
