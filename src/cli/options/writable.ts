/** The one place that decides which of the attached backends a command writes to. */
import { sizeParameter } from '../../attach.js'
import type { Backend } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import type { RecordType } from '../../pstore/types.js'

/**
 * The backends that have room for a type and can be written to.
 *
 * @param source SOURCE of the command line; undefined where --backend chose the backends
 * @throws StoreError where there are none
 */
export const writableFor = (
  type: RecordType,
  backends: readonly Backend[],
  source: string | undefined,
): Backend[] => {
  const withRoom = backends.filter(backend => backend.capacity(type) !== null)
  const what = source ?? backends.map(({ name }) => name).join(', ')
  if (withRoom.length === 0)
    throw new StoreError(
      `${what}: has no ${type} zone; give it a size (${sizeParameter(source ?? '', type) ?? `${type}_size`})`,
    )
  const writable = withRoom.filter(backend => !backend.readOnly)
  if (writable.length === 0) throw new StoreError(`${what}: cannot be written`, 'EROFS')
  return writable
}
