/** Colours on a terminal. */
import { styleText } from 'node:util'

export type Style = Parameters<typeof styleText>[0]

/** Whether standard output shows colours, and nobody has asked for none (no-color.org). */
export const hasColours = (): boolean =>
  process.stdout.isTTY && process.env.TERM !== 'dumb' && !process.env.NO_COLOR

/** A text in a style, where it is asked for and can be shown. */
export const painted = (text: string, style: Style | null): string =>
  style !== null && hasColours() ? styleText(style, text, { validateStream: false }) : text
