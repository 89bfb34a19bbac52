/** Who may do what in a mount that others see. */

/**
 * Mount options with `default_permissions` where `allow_other` is among them. Without it the kernel asks nobody about
 * modes, and whoever may look into the mount could erase a record, or take its ownership.
 */
export const withPermissions = (options: readonly string[]): string[] =>
  options.includes('allow_other') && !options.includes('default_permissions')
    ? [...options, 'default_permissions']
    : [...options]
