import { example } from './example.js'

export const target = example(() => {
  throw new Error('not a StoreError')
})
