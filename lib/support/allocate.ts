import { isArrayBuffer } from 'node:util/types'
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
    // By its name: typed arrays may be of another realm than this module's RangeError.
    if ((cause as Error).name !== 'RangeError') throw cause
    throw new FlowError('ERR_OUT_OF_MEMORY', `${what} takes ${bytes} bytes: there is no room for it`, {
      cause,
    })
  }
}

type Bytes = Uint8Array | Uint8ClampedArray | Uint16Array | Float32Array

/** Whether the memory of an array may go away while the array exists. A growable SharedArrayBuffer never shrinks. */
export function isResizable({ buffer }: Bytes): boolean {
  return isArrayBuffer(buffer) && (buffer as { readonly resizable?: boolean }).resizable === true
}

/** The array, or a copy if its memory may go away while a call uses it. */
export function copyIfResizable<Values extends Float32Array | Uint16Array | Uint8Array>(
  array: Values,
): Values {
  if (!isResizable(array)) return array
  return allocate(() => array.slice() as Values, array.byteLength, 'a copy of a resizable array')
}

/** Where a call writes its result. */
export interface Target<Values> {
  /** Of the caller, or, if that one may shrink during the call, an array that `deliver` copies to it. */
  readonly data: Values
  /** Call it once the result is there. Throws a FlowError if the caller's array went away or changed its length meanwhile. */
  deliver(): void
}

/** @throws {FlowError} `ERR_ARGUMENT` if a call cannot write into the array */
export function targetOf<Values extends Float32Array | Uint16Array | Uint8Array>(
  into: Values,
): Target<Values> {
  const { length } = into
  if (length === 0)
    throw new FlowError('ERR_ARGUMENT', 'into: its ArrayBuffer was transferred or detached: give another one')
  const data = copyIfResizable(into)
  const deliver = () => {
    if (into.length !== length)
      throw new FlowError(
        'ERR_ARGUMENT',
        'into: its ArrayBuffer was transferred, detached or resized while its call waited: keep it until the call is settled',
      )
    if (data !== into) into.set(data)
  }
  return { data, deliver }
}

/** @throws {FlowError} `ERR_ARGUMENT` if a result would overwrite what it is made of */
export function refuseOverlap(made: Bytes, source: Bytes): void {
  const before = made.byteOffset < source.byteOffset + source.byteLength
  const behind = source.byteOffset < made.byteOffset + made.byteLength
  if (made.buffer === source.buffer && before && behind)
    throw new FlowError('ERR_ARGUMENT', 'into: is the memory of an input: give other memory')
}
