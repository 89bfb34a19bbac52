/** Linux 7.2 on x86-64, with and without KASLR: what it wrote is shown as it showed it (kernels.ts). */
import { checkKernel } from './kernels.js'

checkKernel('K2')
