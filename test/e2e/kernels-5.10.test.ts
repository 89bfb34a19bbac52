/** Linux 5.10 on x86-64, with every compressor: what it wrote is shown as it showed it (kernels.ts). */
import { checkKernel } from './kernels.js'

checkKernel('K1')
