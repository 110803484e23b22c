import { FlowField } from '../flow-field.js'
import type { PixelMap } from '../request.js'
import { checkBytes, checkField, checkPixels } from '../support/arguments.js'
import { isUint8Array } from '../support/brands.js'
import { damaged, decodeFloats, encodeFloats } from './floats.js'
import { inCOrder, readNpyArray, writeNpyArray } from './npy-array.js'
import { markUnknown } from './unknown.js'

/** The place of the channels: x, y and, of three, whether the pixel is valid. */
interface Layout {
  readonly width: number
  readonly height: number
  readonly channels: 2 | 3
  readonly place: 'first' | 'last'
}

const SHAPES =
  '(H, W, 2), (2, H, W), or either with 3 channels, the third 1 where flow is valid and 0 elsewhere'

/**
 * Reads optical flow from NumPy's `.npy`: float16, float32 or float64 of either byte order, in C or Fortran order, of shape
 * (H, W, 2) or (2, H, W), also with axes of 1 in front, as a batch of one. A third channel says which pixels are valid: 0 is
 * invalid, and all other pixels have one value. If several shapes fit, it is the first of (H, W, 2), (2, H, W), (H, W, 3),
 * (3, H, W). Unknown flow (not finite, or 1e9 or more) becomes NaN.
 *
 * @throws {FlowError} `ERR_FORMAT` if it is damaged, or of another type or shape.
 */
export function decodeNpy(bytes: Uint8Array): FlowField {
  checkBytes(bytes)
  const array = readNpyArray(bytes, 'flow')
  const { width, height, channels, place } = layoutOf(array.shape)
  if (array.type.kind !== 'float')
    throw damaged(
      '.npy',
      "flow needs float16, float32 or float64, not integers: convert it with astype('float32')",
    )
  const values = inCOrder(decodeFloats(array.data, array.type), array)
  const flow =
    channels === 2
      ? place === 'last'
        ? FlowField.fromInterleaved(width, height, values)
        : new FlowField(width, height, values)
      : withValidity(width, height, values, place)
  return markUnknown(flow)
}

/** Writes `.npy` of float32, shape (H, W, 2), C order: the layout of OpenCV's flow. */
export function encodeNpy(flow: FlowField): Uint8Array {
  checkField(flow, 'flow')
  const values = encodeFloats(flow.toInterleaved(), 'little')
  return writeNpyArray('<f4', [flow.height, flow.width, 2], values)
}

/** Writes `.npy` of shape (H, W), C order: a mask as bool, any other map as float32. */
export function encodeMapNpy(map: PixelMap<Uint8Array | Float32Array>): Uint8Array {
  checkPixels(map, 'map')
  const { data, width, height } = map
  return isUint8Array(data)
    ? writeNpyArray('|b1', [height, width], data)
    : writeNpyArray('<f4', [height, width], encodeFloats(data, 'little'))
}

function layoutOf(shape: readonly number[]): Layout {
  const refuse = (why: string) =>
    damaged(
      '.npy',
      `flow needs shape ${SHAPES}, not (${shape.join(', ')})${why === '' ? ': save it so' : why}`,
    )
  // PTLFlow's models give (1, 1, 2, H, W): a batch, and a sequence, of one.
  const batch = shape.slice(0, -3)
  const count = batch.reduce((product, extent) => product * extent, 1)
  if (count > 1) throw refuse(`: it is a batch of ${count}, save one field of it`)
  const [a = 0, b = 0, c = 0] = shape.slice(batch.length)
  if (count < 1 || a < 1 || b < 1 || c < 1) throw refuse('')
  if (c === 2) return { height: a, width: b, channels: 2, place: 'last' }
  if (a === 2) return { height: b, width: c, channels: 2, place: 'first' }
  if (c === 3) return { height: a, width: b, channels: 3, place: 'last' }
  if (a === 3) return { height: b, width: c, channels: 3, place: 'first' }
  throw refuse('')
}

/** @throws {FlowError} `ERR_FORMAT` if the third channel does not tell valid pixels from invalid ones */
function withValidity(
  width: number,
  height: number,
  values: Float32Array,
  place: Layout['place'],
): FlowField {
  const flow = new FlowField(width, height)
  const { x, y } = flow
  const [pixel, channel] = place === 'last' ? [3, 1] : [1, width * height]
  let valid = 0
  for (let i = 0; i < x.length; i++) {
    const validity = values[pixel * i + 2 * channel]!
    if (valid === 0 && validity > 0) valid = validity
    if (validity !== 0 && validity !== valid && !Number.isNaN(validity))
      throw damaged(
        '.npy',
        `its third channel holds ${valid} and ${validity}, and only 0 and one other value tell whether flow is valid: save x and y alone`,
      )
    const known = validity > 0
    x[i] = known ? values[pixel * i]! : NaN
    y[i] = known ? values[pixel * i + channel]! : NaN
  }
  if (valid === 0)
    throw damaged('.npy', 'its third channel is 0 everywhere, so no flow would be valid: save x and y alone')
  return flow
}
