/** Which of the attached backends take what a command has for them. */
import { sizeParameter } from '../../attach.js'
import type { Backend } from '../../pstore/backend.js'
import { StoreError } from '../../pstore/errors.js'
import type { RecordType } from '../../pstore/types.js'

/**
 * The backends that can be written to.
 *
 * @param source what the command line calls the only one; undefined where several were asked for
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
      `${what}: has no ${type} zone: give it a size (${sizeParameter(source ?? '', type) ?? `${type}_size`})`,
    )
  const writable = withRoom.filter(backend => !backend.readOnly)
  if (writable.length === 0) throw new StoreError(`${what}: cannot be written`, 'EROFS')
  return writable
}
