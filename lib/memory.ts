import { FlowError } from './errors.js'

/**
 * An array of zeros.
 *
 * @param what what messages call it
 * @throws {FlowError} `ERR_OUT_OF_MEMORY` where there is no room for it
 */
export function allocateFloats(length: number, what: string): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(length)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new FlowError('ERR_OUT_OF_MEMORY', `${what} takes ${4 * length} bytes: there is no room for it`, {
      cause,
    })
  }
}
