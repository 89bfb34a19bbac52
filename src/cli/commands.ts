/** The commands. Each is a module, loaded when it is asked for. */
import type { CommandModule } from 'yargs'
import type { CommandName } from './command-names.js'

/** Load a command's module; its arguments are its own. */
const commands: { readonly [name in CommandName]: () => Promise<unknown> } = {
  list: async () => (await import('./commands/list.js')).list,
  show: async () => (await import('./commands/show.js')).show,
  ls: async () => (await import('./commands/ls.js')).ls,
  cat: async () => (await import('./commands/cat.js')).cat,
  follow: async () => (await import('./commands/follow.js')).follow,
  erase: async () => (await import('./commands/erase.js')).erase,
  mount: async () => (await import('./commands/mount.js')).mount,
  status: async () => (await import('./commands/status.js')).status,
  probe: async () => (await import('./commands/probe.js')).probe,
  info: async () => (await import('./commands/info.js')).info,
  check: async () => (await import('./commands/check.js')).check,
  format: async () => (await import('./commands/format.js')).format,
  retention: async () => (await import('./commands/retention.js')).retention,
  write: async () => (await import('./commands/write.js')).write,
  tty: async () => (await import('./commands/tty.js')).tty,
  console: async () => (await import('./commands/console.js')).kernelConsole,
  archive: async () => (await import('./commands/archive.js')).archive,
  ship: async () => (await import('./commands/ship.js')).ship,
}

/** Modules as yargs takes them: what the arguments of each are is known to it alone. */
const loaded = async (loads: readonly (() => Promise<unknown>)[]): Promise<CommandModule[]> =>
  (await Promise.all(loads.map(load => load()))) as CommandModule[]

/** Load commands. */
export const loadCommands = (names: readonly CommandName[]): Promise<CommandModule[]> =>
  loaded(names.map(name => commands[name]))

/** All of them, and mount(8)'s form of `mount`. */
export const loadAll = (): Promise<CommandModule[]> =>
  loaded([...Object.values(commands), async () => (await import('./commands/mount.js')).mount8])
