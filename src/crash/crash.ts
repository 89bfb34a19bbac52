/** Crashes, for the library: index.ts names both modules itself once it may. */
export { crashesOf, type Crash } from './grouping.js'
export { diagnose, type Diagnosis } from './diagnosis.js'
