import { fileURLToPath } from 'node:url'
import { FlowError, messageOf } from '../errors.js'

/**
 * The path of a file that a caller named.
 *
 * @param name name of the file in error messages
 * @throws {FlowError} `ERR_ARGUMENT` if `file` is neither a path nor a file: URL
 */
export function toPath(file: string | URL, name: string): string {
  if (typeof file === 'string' && file !== '') return file
  if (file instanceof URL && file.protocol === 'file:') {
    try {
      return fileURLToPath(file)
    } catch (cause) {
      throw new FlowError('ERR_ARGUMENT', `${name}: ${file} names no file here: ${messageOf(cause)}`, {
        cause,
      })
    }
  }
  const given = file instanceof URL ? file.href : (JSON.stringify(file) ?? String(file))
  throw new FlowError('ERR_ARGUMENT', `${name}: must be a path or a file: URL, not ${given}`)
}
