/** Linux 6.12 on i386: what it wrote is shown as it showed it (kernels.ts). */
import { checkKernel } from './kernels.js'

checkKernel('K3')
