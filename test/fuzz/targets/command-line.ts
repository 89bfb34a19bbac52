/** What a file says of regions elsewhere: a kernel's command line. */
import { checkRegions } from '../regions.js'
import { Scratch, type Target } from '../target.js'

const file = new Scratch()

export const target: Target = {
  seeds: () =>
    [
      'ro ramoops.mem_address=0x8000000 ramoops.mem_size=0x100000 ramoops.record_size=0x4000 ramoops.ecc=1',
      'quiet "ramoops.mem-size=1M" ramoops.console_size=64K ramoops.ftrace_size=4096 ramoops.tty_size=8192',
      'reserve_mem=2M:4096:oops ramoops.mem_name=oops ramoops.pmsg_size=4K ramoops.max_reason=5',
    ].map(text => Buffer.from(text)),
  words: [
    'ramoops.',
    'mem_size=',
    'mem_address=',
    'record_size=',
    'mem_name=',
    'reserve_mem=',
    ':',
    '"',
    'G',
    'M',
    ' ',
  ],
  longest: 4096,
  run(bytes) {
    file.write(bytes)
    checkRegions(file.path)
  },
}
