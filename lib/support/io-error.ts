import { FlowError, messageOf } from '../errors.js'

/**
 * Turns the system's error into an `ERR_IO`. A FlowError is returned unchanged.
 *
 * @param file name of the file in the message
 */
export function ioError(file: string, done: 'read' | 'written', cause: unknown): FlowError {
  if (cause instanceof FlowError) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  if (code === 'ENOENT' && done === 'read') return new FlowError('ERR_IO', `${file}: no such file`, { cause })
  return new FlowError('ERR_IO', `${file}: cannot be ${done}: ${messageOf(cause)}`, { cause })
}
