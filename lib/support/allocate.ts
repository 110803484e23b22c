import { FlowError } from '../errors.js'

/**
 * Allocates an array of zeros.
 *
 * @param what name of the array in error messages
 * @throws {FlowError} `ERR_OUT_OF_MEMORY` if there is not enough memory
 */
export function allocateFloats(length: number, what: string): Float32Array<ArrayBuffer> {
  return allocate(() => new Float32Array(length), 4 * length, what)
}

/** Like {@link allocateFloats}, but for bytes. */
export function allocateBytes(length: number, what: string): Uint8Array<ArrayBuffer> {
  return allocate(() => new Uint8Array(length), length, what)
}

function allocate<T>(make: () => T, bytes: number, what: string): T {
  try {
    return make()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new FlowError('ERR_OUT_OF_MEMORY', `${what} takes ${bytes} bytes: there is no room for it`, {
      cause,
    })
  }
}
