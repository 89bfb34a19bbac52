/** Linux 6.12 on big-endian ppc64: what it wrote is shown as it showed it (kernels.ts). */
import { checkKernel } from './kernels.js'

checkKernel('K5')
