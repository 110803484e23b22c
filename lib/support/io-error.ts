import { FlowError, messageOf } from '../errors.js'
import { codeOf } from './brands.js'
import { shortPath } from './quote.js'

/**
 * Turns the system's error into an `ERR_IO`. A FlowError is returned unchanged.
 *
 * @param file name of the file in the message
 */
export function ioError(file: string, done: 'read' | 'written', cause: unknown): FlowError {
  if (cause instanceof FlowError) return cause
  const code = codeOf(cause)
  const name = shortPath(file)
  if (code === 'ENOENT' && done === 'read') return new FlowError('ERR_IO', `${name}: no such file`, { cause })
  // The system's messages end in the call and the path, ", open '/a/b'".
  const reason = messageOf(cause)
    .replace(/, \w+ '[^]*$/, '')
    .slice(0, 200)
  return new FlowError('ERR_IO', `${name}: cannot be ${done}: ${reason}`, { cause })
}
