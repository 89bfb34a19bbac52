/** What damage hides. */
import type { Condition } from '../../pstore/condition.js'

/** Whether a damaged zone holds something that no file shows: what was erased is no loss. */
export const isHidden = ({ record, state, used, remains }: Condition): boolean =>
  record === null && state === 'damaged' && (remains?.bytes ?? used) > 0
