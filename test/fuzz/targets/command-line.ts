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
      'options ramoops mem_size=0x100000 \\\n record_size=65536 dump_oops=0\n# a comment\n',
      '/sys/module/ramoops/parameters/mem_size:1048576\n/sys/module/ramoops/parameters/record_size:65536\n',
      '[ 0.0] Linux version 6.12.1 (gcc)\n[ 0.0] Kernel command line: ramoops.mem_size=0x100000 -- ramoops.ecc=1\n' +
        '[ 0.4] ramoops: using 0x100000@0x8000000, ecc: 0\n',
    ].map(text => Buffer.from(text)),
  words: [
    'ramoops.',
    'mem_size=',
    'mem_address=',
    'record_size=',
    'mem_name=',
    'reserve_mem=',
    'options ramoops ',
    'Kernel command line: ',
    'ramoops: using 0x',
    'Linux version ',
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
