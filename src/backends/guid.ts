/** GUIDs, as UEFI has them in variables and in error records (UEFI specification, appendix A). */

/** A GUID's 16 bytes, from the form that people write: its first three fields are little-endian. */
export const encodeGuid = (text: string): Buffer => {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex')
  bytes.subarray(0, 4).reverse()
  bytes.subarray(4, 6).reverse()
  bytes.subarray(6, 8).reverse()
  return bytes
}

/** The form that people write, in lower case, of 16 bytes. */
export const decodeGuid = (bytes: Buffer): string => {
  const digits = encodeGuid(bytes.toString('hex')).toString('hex')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
