import { fileURLToPath, URL as NodeUrl } from 'node:url'
import { FlowError, messageOf } from '../errors.js'
import { described } from './arguments.js'
import { isUrl } from './brands.js'
import { quoted } from './quote.js'

/**
 * The path of a file that a caller named.
 *
 * @param file a path, or a file: URL as an object or as text
 * @param name name of the file in error messages
 * @throws {FlowError} `ERR_ARGUMENT` if `file` is neither a path nor a file: URL; the message says what to do
 */
export function toPath(file: string | URL, name: string): string {
  const url = urlOf(file)
  if (url === undefined) {
    if (typeof file === 'string' && file !== '') return file
    throw new FlowError('ERR_ARGUMENT', `${name}: must be a path or a file: URL, not ${described(file)}`)
  }
  if (url.protocol !== 'file:')
    throw new FlowError(
      'ERR_ARGUMENT',
      `${name}: must be a path or a file: URL, not ${quoted(url.href)}: nothing is fetched from there, so ` +
        'download it first and give the path of the file',
    )
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw new FlowError(
      'ERR_ARGUMENT',
      `${name}: ${quoted(url.href)} names no file here: ${messageOf(cause)}`,
      {
        cause,
      },
    )
  }
}

/**
 * A URL of any realm, or a text that begins like one, as a URL of Node's. A drive letter (`C:\`) is no scheme: schemes have two
 * letters or more.
 */
function urlOf(file: unknown): NodeUrl | undefined {
  const text = isUrl(file) ? file.href : file
  if (typeof text !== 'string' || !/^(?:[a-z][a-z0-9+.-]+:\/\/|file:\/|data:|blob:)/i.test(text))
    return undefined
  try {
    return new NodeUrl(text)
  } catch {
    return undefined
  }
}
