/** The options after -o: mount(8)'s own words, the tree's, and the layout's. */
import type { AttachOptions } from '../../attach.js'
import { StoreError } from '../../pstore/errors.js'
import type { BackendChoice, MountRequest } from '../../service/plan.js'
import { parseSize } from '../../backends/index.js'
import { meant } from '../near.js'
import { parameters, setParameter } from './parameters.js'

/** The content of a list of options, and nothing that the list does not say. */
export interface GivenOptions {
  request: Partial<MountRequest>
  /** The layout. */
  layout: AttachOptions
  /** The config file. */
  config: string | undefined
}

export interface MountOption {
  /** The kind of its value, in words; null: the option is a flag. */
  takes: string | null
  /** The only values that it can have. */
  values?: readonly string[]
  apply(given: GivenOptions, value: string): void
}

const flag = (apply: MountOption['apply']): MountOption => ({ takes: null, apply })

const flags = (
  names: string,
  apply: (given: GivenOptions, name: string) => void,
): { [name: string]: MountOption } =>
  Object.fromEntries(names.split(' ').map(name => [name, flag(given => apply(given, name))]))

const choice = <T extends string>(
  name: string,
  values: readonly T[],
  set: (request: Partial<MountRequest>, value: T) => void,
): MountOption => ({
  takes: 'a string',
  values,
  apply: ({ request }, text) => {
    const value = values.find(known => known === text)
    if (value === undefined)
      throw new StoreError(
        `${name} ${text}: must be ${values.join(', ').replace(/, (\w+)$/, ' or $1')}`,
      )
    set(request, value)
  },
})

/** A user's or group's number; the last one means none. */
const id = (name: 'uid' | 'gid'): MountOption => ({
  takes: 'a string',
  apply: ({ request }, text) => {
    const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN
    if (!(number < 0xffffffff))
      throw new StoreError(`${name} '${text}': must be a number, as id(1) prints it`)
    request[name] = number
  },
})

const parseUmask = (text: string): number => {
  if (!/^[0-7]{1,4}$/.test(text) || parseInt(text, 8) > 0o777)
    throw new StoreError(`umask '${text}': must be octal, up to 777`)
  return parseInt(text, 8)
}

/** The names that `backend=` lists, or all. */
export const parseBackends = (text: string): NonNullable<BackendChoice> => {
  const names = text.split(',').map(name => name.trim())
  return names.length === 1 && names[0] === 'all' ? 'all' : names
}

/** Of a number TOML tells only its value, and not that it was octal. */
export const octal = 'octal digits, in quotes'

/** Every option but the layout's, by its name. */
export const mountOptions: { readonly [name: string]: MountOption } = {
  // The kernel or libfuse knows these, and gets them as they are.
  ...flags(
    'nodev dev nosuid suid noexec exec noatime atime sync async dirsync ' +
      'allow_other allow_root default_permissions nonempty',
    ({ request }, name) => (request.passed ??= []).push(name),
  ),
  // mount(8), fstab and systemd use these among themselves.
  ...flags(
    'defaults auto noauto user users nouser owner group nofail _netdev relatime strictatime ' +
      'nodiratime diratime lazytime nolazytime norelatime nostrictatime iversion noiversion mand nomand silent loud ' +
      'nosymfollow nogroup auto_unmount',
    () => {},
  ),
  ro: flag(({ request }) => (request.readOnly = true)),
  rw: flag(({ request }) => (request.readOnly = false)),
  force: flag(({ request }) => (request.force = true)),
  // Given twice it adds up: mount(8) and fstab have no better way to write a comma.
  backend: {
    takes: 'a string',
    apply: ({ request }, text) =>
      (request.backend = parseBackends([request.backend ?? [], text].flat().join())),
  },
  subdirs: choice('subdirs', ['visible', 'hidden', 'off'], (request, value) => {
    request.subdirs = value
  }),
  attach: choice('attach', ['view', 'boot'], (request, value) => {
    request.mode = value
  }),
  transport: choice('transport', ['kernel', 'libfuse'], (request, value) => {
    request.transport = value
  }),
  state: { takes: 'a string', apply: ({ request }, value) => (request.state = value) },
  user: { takes: 'a string', apply: ({ request }, value) => (request.user = value) },
  uid: id('uid'),
  gid: id('gid'),
  umask: { takes: octal, apply: ({ request }, text) => (request.umask = parseUmask(text)) },
  config: { takes: 'a string', apply: (given, value) => (given.config = value) },
  // Linux cuts dumps to this size. This program has nothing to cut, and only checks the value.
  kmsg_bytes: { takes: 'a size', apply: (_, text) => parseSize('kmsg_bytes', text) },
}

const layoutOption = (name: string): MountOption => ({
  takes: 'a string',
  apply: ({ layout }, text) => setParameter(layout, name, text),
})

const optionNamed = (name: string): MountOption | null => {
  if (Object.hasOwn(mountOptions, name)) return mountOptions[name]!
  return Object.hasOwn(parameters, name) ? layoutOption(name) : null
}

const optionNames = [...Object.keys(mountOptions), ...Object.keys(parameters)]

/** Split a list at its commas; `\,` is a comma inside a value. */
export const splitOptions = (lists: readonly string[]): string[] =>
  lists
    .flatMap(list => list.match(/(?:\\.|[^,\\])+/g) ?? [])
    .map(option => option.replace(/\\([,\\])/g, '$1'))

/** fstab's comments, and systemd's options there. */
const comment = /^(x-|X-|comment=)/

/**
 * Parse options as they stand after -o.
 *
 * @throws StoreError naming an option that is not known, or a value that makes no sense
 */
export const parseMountOptions = (options: readonly string[]): GivenOptions => {
  const given: GivenOptions = { request: {}, layout: {}, config: undefined }
  for (const option of options) {
    if (comment.test(option)) continue
    const equals = option.indexOf('=')
    const hasValue = equals >= 0
    const name = (hasValue ? option.slice(0, equals) : option).replaceAll('-', '_')
    const known = optionNamed(name)
    if (!known || (hasValue && known.takes === null))
      throw new StoreError(
        `option ${option}: not known${known ? '' : meant(name, optionNames)} (see \`pstorefs help mount\`)`,
      )
    if (!hasValue && known.takes !== null)
      throw new StoreError(`option ${name}: needs a value: ${name}=…`)
    known.apply(given, option.slice(equals + 1))
  }
  return given
}
