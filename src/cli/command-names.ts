/** The commands' names, by what they are for, in the order of the help. */
export const commandGroups = {
  'What crashed': ['list', 'show'],
  Records: ['ls', 'cat', 'follow', 'erase'],
  'As a file system': ['mount', 'status'],
  'A region': ['probe', 'info', 'check', 'format', 'retention'],
  'Writing to it': ['write', 'tty', 'console'],
  'Keeping crashes': ['archive', 'ship'],
} as const

export type CommandName = (typeof commandGroups)[keyof typeof commandGroups][number]

export const commandNames: readonly CommandName[] = Object.values(commandGroups).flat()

export const isCommand = (word: string | undefined): word is CommandName =>
  commandNames.some(name => name === word)
