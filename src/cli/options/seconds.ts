/**
 * Seconds that somebody typed; NaN where it is no number. A shell's variable that is not set is not 0.
 *
 * @param given a number where it is an option's default
 */
export const parseSeconds = (given: string | number): number =>
  String(given).trim() === '' ? NaN : Number(given)
