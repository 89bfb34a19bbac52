/** fusermount3(1), or libfuse 2's fusermount: where it is, and its words. */
import fs from 'node:fs'
import path from 'node:path'

/** Where programs are searched: mount(8) clears PATH. */
export const searched = { PATH: process.env.PATH ?? '/usr/bin:/bin' }

const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * The program that mounts for ordinary users. It is searched in the system's own folders, too.
 *
 * @param names the first one that is there is taken
 * @returns its path; null where there is none
 */
export const findFusermount = (
  names: readonly string[] = ['fusermount3', 'fusermount'],
): string | null => {
  const folders = [...searched.PATH.split(':'), '/usr/bin', '/bin']
  const files = names.flatMap(name => folders.map(folder => path.join(folder, name)))
  return files.find(isExecutable) ?? null
}

/** mount(2)'s error for an ordinary user, and for root without CAP_SYS_ADMIN. */
const notPermitted = 'mount failed: Operation not permitted'

/** Why a mount was refused: of what fusermount printed the line that says it, and what helps. */
export const reasonIn = (said: string): string => {
  const why =
    /^(?:\S*\/)?fusermount3?: (.+)$/m.exec(said)?.[1] ?? (said.trim() || 'fusermount said nothing')
  if (!why.endsWith(notPermitted)) return why
  const hint =
    process.getuid!() === 0
      ? 'a container needs --cap-add SYS_ADMIN for it'
      : 'is fusermount set-uid root?'
  return `${why}: ${hint}`
}

/** In a list of options a comma or backslash inside a value is escaped. */
export const escape = (value: string): string => value.replace(/[\\,]/g, '\\$&')
