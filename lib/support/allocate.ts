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

/** Reason why calls take no resizable ArrayBuffer, for error messages. */
export const WHY_NOT_RESIZABLE = 'which may shrink during the call: give a copy'

/** Whether the memory of an array may go away while the array exists. A growable SharedArrayBuffer never shrinks. */
export function isResizable({ buffer }: Uint8Array | Uint8ClampedArray | Float32Array): boolean {
  return buffer instanceof ArrayBuffer && (buffer as { readonly resizable?: boolean }).resizable === true
}

/** @throws {FlowError} `ERR_ARGUMENT` if a call cannot write into the array */
export function checkWritable(into: Float32Array): void {
  if (isResizable(into))
    throw new FlowError('ERR_ARGUMENT', `into: is in a resizable ArrayBuffer, ${WHY_NOT_RESIZABLE}`)
  if (into.length === 0)
    throw new FlowError('ERR_ARGUMENT', 'into: its ArrayBuffer was transferred or detached')
}
