/** What stands after -o: mount(8)'s own words, the tree's, and the layout's. */
import type { AttachMode, AttachOptions } from '../../attach.js'
import type { Subdirs } from '../../tree/tree.js'
import { StoreError } from '../../pstore/errors.js'
import { parameters, parseSize, setParameter } from './parameters.js'

export interface MountRequest {
  readOnly: boolean
  subdirs: Subdirs
  /** `attach=`. */
  mode: AttachMode
  /** `state=`: the folder of what attach=boot keeps. */
  state: string | undefined
  /** `user=`: who serves the mount, once root has opened its sources. */
  user: string | undefined
  /** `backend=`: which of the configured backends; undefined: the first that attaches. */
  backend: string | undefined
  /** The config file. */
  config: string | undefined
  /** Who owns all there is; undefined: who mounts it. */
  uid: number | undefined
  gid: number | undefined
  /** Permissions that nothing has. */
  umask: number
  /** For the kernel and libfuse, as they spell them. */
  passed: string[]
  attach: AttachOptions
}

/** What the kernel or libfuse knows and gets as it is. */
const passedOn = new Set(
  (
    'nodev dev nosuid suid noexec exec noatime atime sync async dirsync ' +
    'allow_other allow_root default_permissions nonempty'
  ).split(' '),
)

/** What mount(8), fstab and systemd use among themselves. */
const ignored = new Set(
  (
    'defaults rw auto noauto user users nouser owner group nofail _netdev relatime strictatime ' +
    'nodiratime diratime lazytime nolazytime norelatime nostrictatime iversion noiversion mand nomand silent loud ' +
    'nosymfollow nogroup auto_unmount'
  ).split(' '),
)
const ignoredPrefix = /^(x-|X-|comment=)/

/** Split a list at its commas; `\,` is a comma inside a value. */
export const splitOptions = (lists: readonly string[]): string[] =>
  lists
    .flatMap(list => list.match(/(?:\\.|[^,\\])+/g) ?? [])
    .map(option => option.replace(/\\([,\\])/g, '$1'))

const none: MountRequest = {
  readOnly: false,
  subdirs: 'visible',
  mode: 'view',
  state: undefined,
  user: undefined,
  backend: undefined,
  config: undefined,
  uid: undefined,
  gid: undefined,
  umask: 0,
  passed: [],
  attach: {},
}

/** Is this an option without a value? */
export const isFlag = (name: string): boolean =>
  name === 'ro' || passedOn.has(name) || ignored.has(name)

/** Options with a value that are this program's own, besides the layout's. */
export const valued = [
  'uid',
  'gid',
  'umask',
  'subdirs',
  'kmsg_bytes',
  'backend',
  'config',
  'attach',
  'state',
  'user',
]

/**
 * Make sense of options, as they stand after -o.
 *
 * @param defaults what holds where an option says nothing else
 * @throws StoreError naming an option that nobody knows, or a value that makes no sense
 */
export const parseMountOptions = (
  options: readonly string[],
  defaults: MountRequest = none,
): MountRequest => {
  const request = {
    ...defaults,
    passed: [...defaults.passed],
    attach: { ...defaults.attach },
  }
  const backends: string[] = []
  for (const option of options) {
    const equals = option.indexOf('=')
    const name = equals < 0 ? option : option.slice(0, equals)
    const value = equals < 0 ? undefined : option.slice(equals + 1)
    if (option === 'ro') request.readOnly = true
    else if (option === 'rw') request.readOnly = false
    else if (passedOn.has(option)) request.passed.push(option)
    else if (ignored.has(option) || ignoredPrefix.test(option)) continue
    else if (name === 'backend' && value !== undefined) backends.push(value)
    else if (value !== undefined) takeValue(request, name.replaceAll('-', '_'), value)
    else if (Object.hasOwn(parameters, name) || valued.includes(name))
      throw new StoreError(`option ${name}: needs a value: ${name}=…`)
    else throw unknown(option)
  }
  // Given twice it adds up: mount(8) and fstab have no better way to write a comma.
  if (backends.length) request.backend = backends.join()
  return request
}

const unknown = (option: string): StoreError =>
  new StoreError(`option ${option}: not known (see \`pstorefs mount --help\`)`)

const takeValue = (request: MountRequest, name: string, value: string): void => {
  if (Object.hasOwn(parameters, name)) setParameter(request.attach, name, value)
  else if (name === 'subdirs') request.subdirs = parseSubdirs(value)
  else if (name === 'config') request.config = value
  else if (name === 'uid' || name === 'gid') request[name] = parseId(name, value)
  else if (name === 'umask') request.umask = parseUmask(value)
  else if (name === 'attach') request.mode = parseMode(value)
  else if (name === 'state') request.state = value
  else if (name === 'user') request.user = value
  // Linux cuts dumps to this; here it has nothing to cut, and is checked only.
  else if (name === 'kmsg_bytes') parseSize(name, value)
  else throw unknown(`${name}=${value}`)
}

/** A user's or group's number; the last one means none. */
const parseId = (name: string, text: string): number => {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : NaN
  if (!(id < 0xffffffff))
    throw new StoreError(`${name} '${text}': must be a number, as id(1) prints it`)
  return id
}

const parseUmask = (text: string): number => {
  if (!/^[0-7]{1,4}$/.test(text) || parseInt(text, 8) > 0o777)
    throw new StoreError(`umask '${text}': must be octal, up to 777`)
  return parseInt(text, 8)
}

export const subdirsValues: readonly Subdirs[] = ['visible', 'hidden', 'off']
export const attachModes: readonly AttachMode[] = ['view', 'boot']

const oneOf = <T extends string>(name: string, known: readonly T[], text: string): T => {
  const found = known.find(value => value === text)
  if (found === undefined)
    throw new StoreError(
      `${name} ${text}: must be ${known.join(', ').replace(/, (\w+)$/, ' or $1')}`,
    )
  return found
}

export const parseSubdirs = (text: string): Subdirs => oneOf('subdirs', subdirsValues, text)
export const parseMode = (text: string): AttachMode => oneOf('attach', attachModes, text)
