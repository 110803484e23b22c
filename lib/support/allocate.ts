import { FlowError } from '../errors.js'

/**
 * An array of zeros.
 *
 * @param what what messages call it
 * @throws {FlowError} `ERR_OUT_OF_MEMORY` where there is no room for it
 */
export function allocateFloats(length: number, what: string): Float32Array<ArrayBuffer> {
  return allocate(() => new Float32Array(length), 4 * length, what)
}

/** As {@link allocateFloats}, of bytes. */
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
