/** Sizes in words. */

const units = ['B', 'KiB', 'MiB', 'GiB']

/** A number of bytes for people: `64 KiB`, `1.4 MiB`. */
export const humanSize = (bytes: number): string => {
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 2 ** (10 * unit)
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`
}
