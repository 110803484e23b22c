import { FlowError } from './errors.js'
import type { Point } from './motion/point.js'
import { resampleFlow } from './motion/resample.js'
import { sampleFlow } from './motion/sample.js'
import { type MagnitudeOptions, type MotionStatistics, motionStatistics } from './motion/statistics.js'
import { allocateFloats, refuseOverlap } from './support/allocate.js'
import { isFloat32Array } from './support/brands.js'
import { shown } from './support/quote.js'

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

  /**
   * The field of an array (height, width, 2), x and y of each pixel side by side, as OpenCV, NumPy and most files have it.
   *
   * @param values `2 * width * height` values, row by row. They are copied.
   * @throws {FlowError} as the constructor
   */
  static fromInterleaved(width: number, height: number, values: Float32Array): FlowField {
    const length = fieldLength(width, height)
    if (!isFloat32Array(values) || values.length !== length) {
      throw new FlowError(
        'ERR_ARGUMENT',
        `a ${width} x ${height} flow field is made from a Float32Array of ${length} values (x and y of each pixel in turn)`,
      )
    }
    const flow = new FlowField(width, height)
    const { x, y } = flow
    for (let i = 0; i < x.length; i++) {
      x[i] = values[2 * i]!
      y[i] = values[2 * i + 1]!
    }
    return flow
  }

  /** The horizontal component, `width * height` values row by row: a view of `data`. */
  get x(): Float32Array {
    return this.data.subarray(0, this.width * this.height)
  }

  /** The vertical component, `width * height` values row by row: a view of `data`. */
  get y(): Float32Array {
    return this.data.subarray(this.width * this.height)
  }

  /**
   * A copy of the field as an array (height, width, 2): x and y of each pixel side by side, row by row.
   *
   * @throws {FlowError} `ERR_OUT_OF_MEMORY`
   */
  toInterleaved(): Float32Array<ArrayBuffer> {
    const { x, y } = this
    const values = allocateFloats(this.data.length, 'the copy of a flow field')
    for (let i = 0; i < x.length; i++) {
      values[2 * i] = x[i]!
      values[2 * i + 1] = y[i]!
    }
    return values
  }

  /**
   * The vector at any place of the frame, bilinear between pixel centres, which are at integers: x from -0.5 to below width - 0.5,
   * to the right; y likewise, down. Beyond the outer centres it is that of the nearest pixel.
   *
   * Neighbours whose flow is unknown are left out, and the others count for more. If less than half of the weight is left, and
   * outside of the frame, the vector is unknown: NaN, both components.
   *
   * @param into the vector to write to and return, instead of a new one
   */
  at(x: number, y: number, into: Point = { x: 0, y: 0 }): Point {
    return sampleFlow(this, x, y, into)
  }

  /**
   * The same motion at another size: the vectors are scaled as the sides are. Corners of pixels stay corners, as in PyTorch's
   * `interpolate` with `align_corners=False` and `antialias=True`: an enlarged field is bilinear, and in a shrunk one each pixel is the
   * mean of the old ones around it, weighted by a triangle.
   *
   * Pixels whose flow is unknown are left out of the means. A new pixel is unknown if they have more than half of its weight.
   *
   * @param options `into`: a field of that size that is written to and returned, instead of a new one
   * @throws {FlowError} `ERR_ARGUMENT` if a side is not a positive integer, or `into` has another size; `ERR_OUT_OF_MEMORY`
   */
  resize(width: number, height: number, { into }: { readonly into?: FlowField | undefined } = {}): FlowField {
    const resized = into ?? new FlowField(width, height)
    if (resized.width !== width || resized.height !== height)
      throw new FlowError('ERR_ARGUMENT', `into: must be a FlowField of ${width} x ${height}`)
    refuseOverlap(resized.data, this.data)
    resampleFlow(this, resized)
    return resized
  }

  /**
   * The lengths of the motions, in pixels: mean, percentiles, the longest, and the share of pixels that move.
   *
   * @throws {FlowError} `ERR_ARGUMENT` if the threshold is negative or no number
   */
  magnitude(options: MagnitudeOptions = {}): MotionStatistics {
    return motionStatistics(this, options)
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
      `a flow field needs a positive integer width and height, got ${shown(width)} x ${shown(height)}`,
    )
  }
  return 2 * width * height
}
