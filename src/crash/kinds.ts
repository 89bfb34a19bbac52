/**
 * The lines by which a kernel's reports begin, what they are called, and where the function to blame is looked
 * for. The titles are in the form that syzbot made everybody's: the same bug, the same title.
 */

export type Kind =
  | 'oops'
  | 'bug'
  | 'warning'
  | 'kasan'
  | 'kmsan'
  | 'kcsan'
  | 'kfence'
  | 'ubsan'
  | 'lockdep'
  | 'hung task'
  | 'rcu stall'
  | 'soft lockup'
  | 'hard lockup'
  | 'general protection fault'
  | 'bad page'
  | 'refcount'
  | 'memory leak'
  | 'workqueue lockup'
  | 'panic'
  | 'notice'

/**
 * Where the function to blame is looked for.
 * `trace`: the first in the report that is not generic. `path`: the one that names the path on which the CPU was.
 * `lock`: where the lock was taken, and then in the trace. `history`: the same, but where it was taken before.
 * `leak`: the first that does not make memory for others. `wait`: the first that does not wait for others. `line`: nowhere, the title tells it all.
 */
export type Blame = 'trace' | 'path' | 'lock' | 'history' | 'leak' | 'wait' | 'line'

/** A line by which reports of one kind begin. */
export interface Opener {
  readonly kind: Kind
  /** It sees one line, of bounded length. */
  readonly line: RegExp
  /** `$1` is a group of the line, `{1}` the same without numbers; `{f}` the function to blame, `{rw}` Read or Write. */
  readonly title: string
  readonly blame: Blame
}

/** Where a report of what a machine may die of begins: for each there is a row of {@link openers} that takes the line, whatever follows. */
const graveStarts: readonly RegExp[] = [
  /(?<!\w)BUG: (?!using |sleeping |memory leak|KCSAN)[A-Za-z]/,
  // slab's: `BUG kmalloc-64 (Not tainted): Poison overwritten`. (mm/slub.c, slab_bug)
  /(?<!\w)BUG [\w:.-]{1,64} \((?:Not t|T)ainted[^)\n]{0,40}\): [A-Za-z]/,
  /(?<!\w)BUG [\w.-]{1,64}: (?:Poison|Redzone|Padding|Objects? (?:already|remaining|padding)|Free(?:chain|pointer)) /,
  /nable to handle (?:[kK]ernel|page fault)/,
  /Unhandled fault: /,
  /PANIC: double fault/,
  // A program's fault is printed as `traps: comm[pid] general protection fault ip:…`.
  /general protection fault(?=[:,] | in )(?<!traps: [^\n]{0,60}fault)/,
  /[kK]ernel BUG at /,
  // die() counts: `Oops: 0002 [#1]`, `divide error: 0000 [#1]`.
  /\[#\d{1,4}\]/,
  /Internal error: /,
  // arm64's and parisc's.
  /SError Interrupt on CPU/,
  /Unhandled (?:64|32)-bit el\w{2,3} \w{2,5} exception on CPU/,
  /(?:Kernel Fault|Bad Address \(null pointer deref\?\)|Page fault: (?:no context|bad address)): Code=/,
  /refcount_t: (?:underflow|overflow|\w{1,20} on 0|saturated|decrement hit 0)/,
  /INFO: rcu_\w{1,20} (?:self-)?detected/,
  /(?:blocked (?:in [\w/ ]{1,20} wait )?|can't die )for more than \d{1,9} seconds/,
  /[hH]ard (?:lockup|LOCKUP)/,
  /kernel stack overflow|stack guard page was hit|Insufficient stack space/,
  /CFI failure (?:at|\()/,
  /rust_kernel: panicked at /,
  /VFS: Busy inodes after unmount/,
  /unregister_netdevice: waiting for /,
  // A record may end amid the line.
  /[kK]ernel panic - not/,
]

/** Where one begins that a machine survives. */
const passingStarts: readonly RegExp[] = [
  /(?<!\w)BUG: (?:using |sleeping |memory leak|KCSAN)/,
  /WARNING: (?:CPU: \d|at |\[|[\w/.-]{1,60}\.[chS]:\d)/,
  /WARNING: (?:held lock freed|lock held when|[nN]ested lock was|bad (?:unlock|contention)|kernel stack)/,
  /UBSAN: [A-Za-z]/,
  /possible (?:(?:circular locking|recursive locking|irq lock inversion) (?:dependency )?|deadlock )detected/,
  /-unsafe lock order detected|inconsistent lock state|(?:WARNING|INFO): suspicious (?:RCU|rcu_dereference_check\(\)) usage/,
  /still has locks held(?<=(?:WARNING|BUG): [^\n]{1,80} still has locks held)/,
  /unreferenced object 0x/,
  /INFO: trying to register non-static key/,
]

/** Healthy machines print such lines, too: they are reports only where there is no other. */
const weakStarts: readonly RegExp[] = [/(?<!\w)WARNING: [A-Za-z]/]

/** What a program writes to the log has its name and number before it: `systemd[1]: `. */
const noProgram = String.raw`(?<!\w(?<!\bkernel)\[\d{1,10}\]: [^\n[]{0,200})`

/** One expression for all: what it looks at from one place is bounded, so that its time is linear. */
const union = (patterns: readonly RegExp[]): RegExp =>
  new RegExp(`(?:${patterns.map(({ source }) => source).join('|')})${noProgram}`, 'g')

/** Where reports begin. */
export const sure = union([...graveStarts, ...passingStarts])
/** Where those begin that a machine may not survive. */
export const grave = union(graveStarts)
/** Where they may begin, if none begins surely. */
export const unsure = union(weakStarts)

const rows = (kind: Kind, blame: Blame, ...lines: (readonly [RegExp, string])[]): Opener[] =>
  lines.map(([line, title]) => ({ kind, line, title, blame }))

/** The first that fits a line is meant. */
export const openers: readonly Opener[] = [
  ...rows(
    'kasan',
    'trace',
    [
      /BUG: KASAN: (?:double-free|invalid-free|double-free or invalid-free)/,
      'KASAN: invalid-free in {f}',
    ],
    [/BUG: KASAN: ([a-z][\w-]{1,60})/, 'KASAN: $1 {rw} in {f}'],
  ),
  ...rows('kmsan', 'trace', [/BUG: KMSAN: ([a-z][\w-]{1,60})/, 'KMSAN: $1 in {f}']),
  ...rows(
    'kcsan',
    'line',
    [
      /BUG: KCSAN: ([a-z][\w: -]{1,60}) in ([\w.]{1,200}) \/ ([\w.]{1,200})/,
      'KCSAN: $1 in $2 / $3',
    ],
    [/BUG: KCSAN: ([a-z][\w: -]{1,60}) in ([\w.]{1,200})/, 'KCSAN: $1 in $2'],
  ),
  ...rows(
    'kfence',
    'trace',
    [/BUG: KFENCE: ([a-z][a-z -]{1,60}?) in /, 'KFENCE: $1 in {f}'],
    [
      /BUG: KFENCE: (invalid free|memory corruption|[a-z-]{1,40} (?:read|write))/,
      'KFENCE: $1 in {f}',
    ],
  ),
  ...rows(
    'ubsan',
    'trace',
    [/UBSAN: Undefined behaviou?r in/, 'UBSAN: undefined-behaviour in {f}'],
    [/UBSAN: ([a-z][\w -]{1,60}?) in /, 'UBSAN: $1 in {f}'],
    // With CONFIG_UBSAN_TRAP (lib/ubsan.c, report_ubsan_failure): x86 says where, arm64 and riscv count it as die() does.
    [
      /UBSAN: ([a-z][\w/ -]{1,60}?)(?: at [A-Za-z_][\w.]{0,255}\+0x|(?:: [0-9a-f]{1,16})? \[#\d)/,
      'UBSAN: $1 in {f}',
    ],
    [/UBSAN: ([A-Za-z].*)/, 'UBSAN: {1}'],
  ),
  ...rows('soft lockup', 'path', [/BUG: soft lockup/, 'BUG: soft lockup in {f}']),
  ...rows('hard lockup', 'path', [
    // Before 4.1 it was a warning.
    /[hH]ard (?:lockup|LOCKUP)|WARNING: .*kernel\/watchdog\.c:\d+ watchdog_overflow_callback/,
    'BUG: hard lockup in {f}',
  ]),
  ...rows('workqueue lockup', 'line', [/BUG: workqueue lockup/, 'BUG: workqueue lockup']),
  ...rows('rcu stall', 'path', [
    /INFO: rcu_\w+ (?:self-)?detected/,
    'INFO: rcu detected stall in {f}',
  ]),
  ...rows(
    'hung task',
    'wait',
    [/blocked (?:in [\w/ ]+ wait )?for more than \d/, 'INFO: task hung in {f}'],
    [/can't die for more than \d/, "INFO: task can't die in {f}"],
  ),
  ...rows(
    'oops',
    'trace',
    [
      /(?:nable to handle|BUG:) [kK]ernel NULL pointer dereference/,
      'BUG: unable to handle kernel NULL pointer dereference in {f}',
    ],
    [
      /nable to handle [kK]ernel (?:paging request|data access|execute from|instruction fetch|pointer dereference|unaligned|page)|nable to handle page fault/,
      'BUG: unable to handle kernel paging request in {f}',
    ],
    [
      /nable to handle (kernel [a-z][a-z ]{1,40}?) (?:without|at|on|for) /,
      'BUG: unable to handle $1 in {f}',
    ],
    [/Unhandled fault: /, 'Unhandled fault in {f}'],
    [/PANIC: double fault/, 'PANIC: double fault in {f}'],
    [/Kernel Fault: Code=\d+ \(([A-Za-z][A-Za-z -]{1,60})\)/, 'Kernel Fault: $1 in {f}'],
    [/Kernel Fault: Code=/, 'Kernel Fault in {f}'],
    [
      /Bad Address \(null pointer deref\?\): Code=/,
      'BUG: unable to handle kernel NULL pointer dereference in {f}',
    ],
    [
      /Page fault: (?:no context|bad address): Code=/,
      'BUG: unable to handle kernel paging request in {f}',
    ],
  ),
  ...rows('general protection fault', 'trace', [
    /general protection fault(?=[:,] | in )(?<!traps: [^\n]{0,60}fault)/,
    'general protection fault in {f}',
  ]),
  ...rows(
    'bug',
    'trace',
    [/[kK]ernel BUG at mm\/usercopy\.c/, 'BUG: bad usercopy in {f}'],
    [/[kK]ernel BUG at lib\/list_debug\.c/, 'BUG: corrupted list in {f}'],
    [/[kK]ernel BUG at /, 'kernel BUG in {f}'],
  ),
  ...rows(
    'oops',
    'trace',
    [/divide[ _]error: [0-9a-f]{4} \[#/, 'divide error in {f}'],
    [/stack segment: [0-9a-f]{4} \[#/, 'stack segment fault in {f}'],
    [
      /: [0-9a-f]{4} (?:ilc:\d )?\[#\d{1,4}\](?<=(?<!\w)([a-z][\w -]{2,40}): [0-9a-f]{4} (?:ilc:\d )?\[#\d{1,4}\])/,
      '$1 in {f}',
    ],
    [/Oops - BUG|Kernel bug detected ?\[#/, 'kernel BUG in {f}'],
    // mips's: `Reserved instruction in kernel code[#1]:`, and sparc's: `sh(7): Kernel illegal instruction [#1]`.
    [/(?<!\w)(\w{2,20}(?: [a-z]{1,20}){2,6})!?\[#/, '$1 in {f}'],
    [/\(\d{1,10}\): (Kernel [a-z][\w ]{2,40}?) \[#/, '$1 in {f}'],
    [/Oops - ([a-z][\w ()-]{2,60}?)(?:: [0-9a-f]{1,16})? \[#/, '$1 in {f}'],
    [/Oops: Machine check, sig: /, 'machine check in {f}'],
    [/Oops: Kernel access of bad area/, 'BUG: unable to handle kernel paging request in {f}'],
    [/Internal error: (?!Oops)/, 'Internal error in {f}'],
    [/nable to handle /, 'BUG: unable to handle kernel paging request in {f}'],
    [/\[#\d{1,4}\]|Internal error: /, 'Oops in {f}'],
  ),
  ...rows('warning', 'line', [
    /WARNING: (kernel stack \w+(?: \w+)?) at .*(has bad (?:'\w+' )?value)/,
    'WARNING: $1 $2',
  ]),
  ...rows(
    'lockdep',
    'lock',
    [
      /possible (?:circular locking|recursive locking|irq lock inversion) (?:dependency )?detected/,
      'possible deadlock in {f}',
    ],
    [/possible deadlock detected/, 'possible deadlock in {f}'],
    [/(WARNING|BUG): (bad (?:unlock balance|contention)) detected/, '$1: $2 in {f}'],
    [/(WARNING|BUG): (held lock freed|lock held when returning to user space)/, '$1: $2 in {f}'],
    [/(WARNING|BUG): [nN]ested lock was not taken/, '$1: nested lock was not taken in {f}'],
    [/(WARNING|BUG): [^\n]* (still has locks held)/, '$1: $2 in {f}'],
    [/Invalid wait context/, 'WARNING: locking bug in {f}'],
  ),
  ...rows('lockdep', 'history', [/-unsafe lock order detected/, 'possible deadlock in {f}']),
  ...rows(
    'lockdep',
    'trace',
    [/(inconsistent lock state)/, '$1 in {f}'],
    [
      /(WARNING|INFO): suspicious (?:RCU|rcu_dereference_check\(\)) usage/,
      '$1: suspicious RCU usage in {f}',
    ],
    [/INFO: (trying to register non-static key)/, 'INFO: $1 in {f}'],
    [/BUG: (MAX_\w{1,40} too low)/, 'BUG: $1!'],
  ),
  ...rows('memory leak', 'leak', [/BUG: memory leak|unreferenced object 0x/, 'memory leak in {f}']),
  // Who frees what is not in use, or leaves objects behind, is at fault; who finds one overwritten is not.
  ...rows('bug', 'trace', [
    /BUG ([\w:.-]{1,64})(?: \([^)]{0,60}\))?: (Object already free|Invalid object pointer|Objects remaining)/,
    'BUG $1: $2 in {f}',
  ]),
  ...rows('bug', 'line', [
    /BUG ([\w:.-]{1,64})(?: \([^)]{0,60}\))?: ([A-Za-z](?:[\w -]{0,60}\w)?)/,
    'BUG $1: $2',
  ]),
  ...rows('bad page', 'trace', [/BUG: Bad page (state|map|cache)/, 'BUG: Bad page $1 in {f}']),
  ...rows(
    'bug',
    'trace',
    [/BUG: using (\w{1,40}(?:\(\))?) in preemptible/, 'BUG: using $1 in preemptible code in {f}'],
    [
      /BUG: (scheduling while atomic|sleeping function called from invalid context|(?:spinlock|rwlock) (?:recursion|lockup|bad magic|cpu recursion|cpu-recursion|already unlocked|wrong \w{1,10}|trylock failure)|corrupted list|bad usercopy)/,
      'BUG: $1 in {f}',
    ],
  ),
  ...rows('bug', 'path', [
    /(?:kernel stack overflow|stack guard page was hit|Insufficient stack space|BUG: stack overflow)/,
    'BUG: stack guard page was hit in {f}',
  ]),
  ...rows('bug', 'trace', [/CFI failure (?:at|\()/, 'CFI failure in {f}']),
  ...rows(
    'bug',
    'trace',
    // Before Rust 1.73 the message stood on that line, since then it is on the next.
    [/rust_kernel: panicked at '(.*)', [^']*$/, '{1} in {f}'],
    [/rust_kernel: panicked at /, '{next} in {f}'],
  ),
  ...rows(
    'bug',
    'line',
    [/BUG: Dentry .* still in use .*\[unmount/, 'BUG: Dentry still in use in unmount'],
    [/VFS: (Busy inodes after unmount)/, 'VFS: $1 (use-after-free)'],
    [/unregister_netdevice: waiting for /, 'unregister_netdevice: waiting for DEV to become free'],
    [/BUG: ([A-Za-z].*)/, 'BUG: {1}'],
  ),
  ...rows('bug', 'trace', [/WARNING: .*lib\/list_debug\.c/, 'BUG: corrupted list in {f}']),
  ...rows('refcount', 'trace', [
    /WARNING: .*lib\/refcount\.c|refcount_t: /,
    'WARNING: refcount bug in {f}',
  ]),
  ...rows(
    'warning',
    'trace',
    [/WARNING: .*lib\/kobject\.c/, 'WARNING: kobject bug in {f}'],
    [/WARNING: .*lib\/debugobjects\.c/, 'WARNING: ODEBUG bug in {f}'],
    [/WARNING: .*mm\/vmalloc\.c/, 'WARNING: zero-size vmalloc in {f}'],
    [/WARNING: .*fs\/proc\/generic\.c:\d+ proc_register/, 'WARNING: proc registration bug in {f}'],
    [
      /WARNING: .*(?:kmalloc_slab|k(?:v)?malloc_(?:node|large)\w*)\+0x/,
      'WARNING: kmalloc bug in {f}',
    ],
    [/WARNING: .*kernel\/locking\/lockdep\.c/, 'WARNING: locking bug in {f}'],
    [/WARNING: (?:CPU: \d|at |\[|[\w/.-]+\.[chS]:\d)/, 'WARNING in {f}'],
  ),
  ...rows('panic', 'trace', [
    /Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in/,
    'kernel panic: stack is corrupted in {f}',
  ]),
  ...rows('panic', 'trace', [
    /SError Interrupt on CPU|Kernel panic - not syncing: Asynchronous SError Interrupt/,
    'kernel panic: Asynchronous SError Interrupt in {f}',
  ]),
  ...rows('panic', 'trace', [
    /Unhandled \d\d-bit el\w+ \w+ exception on CPU/,
    'kernel panic: Unhandled exception in {f}',
  ]),
  ...rows('panic', 'path', [
    /Kernel panic - not syncing: corrupted stack end/,
    'kernel panic: corrupted stack end in {f}',
  ]),
  ...rows('panic', 'line', [
    // Cut amid `not syncing: ` it tells no more.
    /[kK]ernel panic - not(?: [a-z]{0,7}(?:: ?|$))?([^\n]*?)(?: \]---)?$/,
    'kernel panic: {1}',
  ]),
  ...rows('notice', 'line', [/WARNING: (.*)/, 'WARNING: {1}']),
]
