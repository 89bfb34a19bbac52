/** package.json's, which is not with every form in which this program is shipped. */
export const version = '0.1.0'
