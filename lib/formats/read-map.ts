import { FlowError } from '../errors.js'
import { decodePicture } from '../image/decode.js'
import type { PixelMap } from '../request.js'
import { latin1 } from '../support/file-kind.js'
import { toPath } from '../support/file-path.js'
import { shortPath } from '../support/quote.js'
import { readWhole } from '../support/read-file.js'
import { damaged, decodeFloats } from './floats.js'
import { inCOrder, readNpyArray } from './npy-array.js'

/**
 * Reads a map of numbers from 0 to 1, such as a confidence, in the files that `writeMap` writes: a picture, whose black is 0 and
 * white 1, or `.npy` of floats of shape (H, W). A value that is not finite is kept.
 *
 * @throws {FlowError} `ERR_FRAME` if a picture cannot be decoded; `ERR_FORMAT` for an array of another type or shape; `ERR_IO`;
 *   `ERR_ARGUMENT` for a URL other than a file: URL; `ERR_NATIVE` if `sharp` cannot be loaded
 */
export async function readMap(file: string | URL): Promise<PixelMap<Float32Array>> {
  const path = toPath(file, 'map')
  const name = shortPath(path)
  const bytes = await readWhole(path, { name, expected: 'a map', code: 'ERR_FRAME' })
  if (latin1(bytes.subarray(0, 6)) === '\x93NUMPY') return mapOfArray(bytes, name)
  const { data, width, height, channels } = await decodePicture(bytes, name)
  const values = Float32Array.from({ length: width * height }, (_, i) => data[channels * i]! / 255)
  return { data: values, width, height }
}

function mapOfArray(bytes: Uint8Array, name: string): PixelMap<Float32Array> {
  try {
    const array = readNpyArray(bytes, 'a map')
    const [height = 0, width = 0, ...rest] = array.shape
    if (array.type.kind !== 'float' || rest.length > 0 || height < 1 || width < 1)
      throw damaged(
        '.npy',
        `a map needs floats of shape (H, W), not ${array.type.kind}s of (${array.shape.join(', ')}): save it as such`,
      )
    return { data: inCOrder(decodeFloats(array.data, array.type), array), width, height }
  } catch (cause) {
    if (!(cause instanceof FlowError)) throw cause
    throw new FlowError(cause.code, `${name}: ${cause.message}`, { cause })
  }
}
