/** What some work costs: the processor's time, which other processes on a busy machine do not lengthen. */

/** Begin to measure; what it gives says how many milliseconds of a processor were taken since. */
export const measureWork = (): (() => number) => {
  const start = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(start)
    return (user + system) / 1000
  }
}
