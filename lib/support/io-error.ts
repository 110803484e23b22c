import { FlowError, messageOf } from '../errors.js'

const LONGEST_NAME = 280

/**
 * Turns the system's error into an `ERR_IO`. A FlowError is returned unchanged.
 *
 * @param file name of the file in the message
 */
export function ioError(file: string, done: 'read' | 'written', cause: unknown): FlowError {
  if (cause instanceof FlowError) return cause
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  const name = shortened(file)
  if (code === 'ENOENT' && done === 'read') return new FlowError('ERR_IO', `${name}: no such file`, { cause })
  // The system's messages end in the call and the path, ", open '/a/b'".
  const reason = messageOf(cause).replace(/, \w+ '[^]*$/, '')
  return new FlowError('ERR_IO', `${name}: cannot be ${done}: ${reason}`, { cause })
}

/** A path may have 4096 bytes. Its end tells more than its beginning. */
function shortened(file: string): string {
  return file.length <= LONGEST_NAME ? file : `...${file.slice(-LONGEST_NAME)}`
}
