/** The one place that decides which of the attached backends a command writes to. */
import { sizeParameter } from '../../attach.js'
import type { Backend } from '../../pstore/backend.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import type { RecordType } from '../../pstore/types.js'

/**
 * The backends that have room for a type and can be written to.
 *
 * @param source SOURCE of the command line; undefined where --backend chose the backends
 * @throws StoreError where there are none, or none of them is a store of its layout
 */
export const writableFor = (
  type: RecordType,
  backends: readonly Backend[],
  source: string | undefined,
): Backend[] => {
  const withRoom = backends.filter(backend => backend.capacity(type) !== null)
  const what = source ?? backends.map(({ name }) => name).join(', ')
  if (backends.every(({ survey }) => survey.whyReadOnly !== undefined))
    throw new StoreError(`${what}: cannot be written: ${backends[0]!.survey.whyReadOnly}`, 'EROFS')
  if (withRoom.length === 0)
    throw new StoreError(
      `${what}: has no ${type} zone; give it a size (${sizeParameter(source ?? '', type) ?? `${type}_size`})`,
    )
  const writable = withRoom.filter(backend => !backend.readOnly)
  if (writable.length === 0) throw new StoreError(`${what}: cannot be written`, 'EROFS')
  // Of several those that are no store are told at the first write, as what else becomes of one.
  const refused = writable.flatMap(backend => refusalOf(backend) ?? [])
  if (refused.length === writable.length) throw refused[0]!
  return writable
}

const refusalOf = (backend: Backend): StoreError | null => {
  try {
    backend.refuseForeign()
    return null
  } catch (error) {
    assertStoreError(error)
    return error
  }
}
