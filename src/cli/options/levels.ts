/** The names of the log's levels, from 0: include/linux/kern_levels.h, as dmesg(1) has them. */
export const levels = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'] as const
