import { FlowError, messageOf } from '../errors.js'

/**
 * The system's error as an `ERR_IO`; a FlowError stays what it is.
 *
 * @param file what the message calls the file
 */
export function ioError(file: string, done: 'read' | 'written', cause: unknown): FlowError {
  if (cause instanceof FlowError) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT' && done === 'read') return new FlowError('ERR_IO', `${file}: no such file`, { cause })
  return new FlowError('ERR_IO', `${file}: cannot be ${done}: ${messageOf(cause)}`, { cause })
}
