/** A GUID as it lies on the media: three little-endian numbers, then bytes as they are written. */
export const guidBytes = (text: string): Buffer => {
  const [a, b, c, ...rest] = text.split('-')
  const swapped = [a, b, c].map(hex => Buffer.from(hex, 'hex').reverse())
  return Buffer.concat([...swapped, Buffer.from(rest.join(''), 'hex')])
}
