import { FlowError } from './errors.js'
import { allocateFloats } from './support/allocate.js'
import { isFloat32Array } from './support/brands.js'

/**
 * Dense optical flow: for every pixel of the first frame, its displacement to the second frame.
 *
 * `data` is planar: `width * height` values of x (positive to the right), then `width * height` values of y (positive down),
 * in pixels of the first frame. A value that is not finite means that the flow of its pixel is unknown.
 */
export class FlowField {
  readonly width: number
  readonly height: number
  readonly data: Float32Array

  /**
   * @param data `2 * width * height` values, planar. The array is kept, not copied. Default: zeros.
   * @throws {FlowError} `ERR_ARGUMENT` if a side is not a positive integer or `data` has another length;
   *   `ERR_OUT_OF_MEMORY` if there is not enough memory for the field.
   */
  constructor(width: number, height: number, data?: Float32Array) {
    const length = fieldLength(width, height)
    if (data !== undefined && (!isFloat32Array(data) || data.length !== length)) {
      throw new FlowError(
        'ERR_ARGUMENT',
        `a ${width} x ${height} flow field needs a Float32Array of ${length} values (all x, then all y)`,
      )
    }
    this.width = width
    this.height = height
    this.data = data ?? allocateFloats(length, `a ${width} x ${height} flow field`)
  }

  /** The horizontal component, `width * height` values row by row: a view of `data`. */
  get x(): Float32Array {
    return this.data.subarray(0, this.width * this.height)
  }

  /** The vertical component, `width * height` values row by row: a view of `data`. */
  get y(): Float32Array {
    return this.data.subarray(this.width * this.height)
  }
}

/**
 * Number of values of a field: `2 * width * height`.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if a side is not a positive integer
 */
export function fieldLength(width: number, height: number): number {
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new FlowError(
      'ERR_ARGUMENT',
      `a flow field needs a positive integer width and height, got ${width} x ${height}`,
    )
  }
  return 2 * width * height
}
