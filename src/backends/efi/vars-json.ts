/**
 * The variables of QEMU's device `uefi-vars` in JSON (libvirt's `<varstore>`), as virt-fw-vars and python-uefivars write
 * them, too; and the answer of `aws ec2 get-instance-uefi-data`, which has a blob in it.
 *
 * Source: doc/formats.md 4.3; QEMU's hw/uefi/var-service-json.c.
 */
import { count } from '../../pstore/condition.js'
import { assertStoreError, StoreError } from '../../pstore/errors.js'
import { Shape } from '../../pstore/shape.js'
import { decodeAwsBlob } from './aws-blob.js'
import type { Listed, ListedVariable } from './variables.js'

const version = 2
/** Variables that are believed: no file of the largest size has room for more. */
const mostVariables = 25_000
const hex = /^(?:[0-9a-f]{2})*$/i
const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** May a file be one? It begins as an object does. */
export const isVarsJson = (head: Buffer): boolean => /^\s*\{/.test(head.toString('latin1'))

/**
 * The variables in a file.
 *
 * @param source its path, for messages
 * @throws StoreError where it is something else, or broken
 */
export const decodeVarsJson = (source: string, bytes: Buffer): Listed => {
  const whole = Shape.parse(bytes.toString(), `${source}: its content`)
  const blob = whole.member('UefiData').value
  if (typeof blob === 'string') return decodeAwsBlob(source, Buffer.from(blob, 'latin1'))
  const list = whole.member('variables')
  if (list.value === undefined)
    throw new StoreError(
      `${source}: is JSON, but no UEFI variable store: it has neither variables nor UefiData`,
    )
  const said = whole.member('version').count()
  if (said !== version)
    throw new StoreError(`${source}: is a UEFI variable store of version ${said}: only 2 is known`)
  if (Array.isArray(list.value) && list.value.length > mostVariables)
    throw new StoreError(
      `${source}: is JSON, but no UEFI variable store: it has too many variables`,
    )
  const variables: ListedVariable[] = []
  let odd = 0
  for (const variable of list.items())
    try {
      variables.push({
        name: variable.member('name').text(),
        vendor: variable.member('guid').text(guid).toLowerCase(),
        data: Buffer.from(variable.member('data').text(hex), 'hex'),
      })
    } catch (error) {
      // One that is broken hides no other.
      assertStoreError(error)
      odd++
    }
  const left = odd
    ? `${count(odd, 'variable')} without a name, a GUID or hexadecimal data: left out`
    : null
  return { variables, left }
}
