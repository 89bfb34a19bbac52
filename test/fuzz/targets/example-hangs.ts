import { example } from './example.js'

export const target = example(() => {
  for (;;);
})
