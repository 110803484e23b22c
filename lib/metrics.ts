import { FlowError } from './errors.js'
import type { FlowField } from './flow-field.js'
import { isTwice, subsample, subsampleValues } from './subsample.js'

/** Errors of flow against its ground truth, over all valid pixels of all fields that were added. */
export interface FlowErrors {
  /** Mean end-point error, pixels: the distance from a motion's predicted end to its true end. NaN if no pixel is valid. */
  readonly epe: number
  /** The share of pixels, 0 to 1, whose end-point error is below 1 px. */
  readonly px1: number
  /** The same, below 3 px. */
  readonly px3: number
  /** The same, below 5 px. */
  readonly px5: number
  /** KITTI's Fl-all: the percentage of pixels whose end-point error is above 3 px and above 5 % of the motion's length. */
  readonly flAll: number
  readonly validPixels: number
  /** The training loss: the sum of |x error| + |y error| over the valid pixels, divided by twice the number of all pixels. */
  readonly loss: number
  /** Fields whose ground truth had twice the width and height, so that every second pixel of every second row was taken. */
  readonly subsampled: number
}

export interface EvaluateOptions {
  /**
   * One value per pixel, row by row, of the prediction or of the ground truth. A pixel is valid if its value is 0.5 or more. Default:
   * every pixel is valid.
   */
  readonly valid?: ArrayLike<number> | undefined
}

export interface FlowMetricsOptions {
  /** Pixels that move this far or farther in the ground truth, in px, are left out. Default 400, as in training. */
  readonly maxFlow?: number | undefined
}

const DEFAULT_MAX_FLOW = 400

/**
 * Sums errors over many fields: a dataset's figures are means over its pixels, not over its frames.
 *
 * A pixel counts if it is valid, its ground truth is finite, and its motion is shorter than `maxFlow`. A prediction that is
 * NaN on such a pixel makes `epe` and `loss` NaN, and counts as an outlier.
 */
export class FlowMetrics {
  readonly #maxFlow: number
  #pixels = 0
  #valid = 0
  #endPointError = 0
  #absoluteError = 0
  #below1 = 0
  #below3 = 0
  #below5 = 0
  #outliers = 0
  #subsampled = 0

  /** @throws {FlowError} `ERR_ARGUMENT` if `maxFlow` is not above 0. */
  constructor({ maxFlow = DEFAULT_MAX_FLOW }: FlowMetricsOptions = {}) {
    if (!(maxFlow > 0))
      throw new FlowError('ERR_ARGUMENT', `maxFlow is a length in pixels above 0, got ${maxFlow}`)
    this.#maxFlow = maxFlow
  }

  /**
   * Adds a field. Ground truth of twice the width and height is subsampled as Spring's is, whose frames have half its size: every
   * second pixel of every second row is taken, and its motion as it is, in pixels of the frames.
   *
   * @throws {FlowError} `ERR_ARGUMENT` if the sizes differ otherwise; then nothing is added.
   */
  add(prediction: FlowField, groundTruth: FlowField, { valid }: EvaluateOptions = {}): this {
    const twice = isTwice(groundTruth, prediction)
    const { width, height } = prediction
    if (!twice && (groundTruth.width !== width || groundTruth.height !== height)) {
      const sizes = `${width} x ${height}, the ground truth ${groundTruth.width} x ${groundTruth.height}`
      throw new FlowError(
        'ERR_ARGUMENT',
        `cannot compare flow of different sizes: the prediction is ${sizes}; it must be of the same size, or of half of it ` +
          'in both directions: compute flow at the size of the frames',
      )
    }
    const truth = twice ? subsample(groundTruth) : groundTruth
    const mask =
      valid === undefined || valid.length === width * height
        ? valid
        : halfMask(valid, prediction, groundTruth)
    const [px, py, gx, gy] = [prediction.x, prediction.y, truth.x, truth.y]
    for (let i = 0; i < gx.length; i++) {
      const motion = Math.hypot(gx[i]!, gy[i]!)
      // Written so that NaN, which compares false, is left out.
      if (!(motion < this.#maxFlow) || (mask !== undefined && !(mask[i]! >= 0.5))) continue
      this.#addPixel(px[i]! - gx[i]!, py[i]! - gy[i]!, motion)
    }
    this.#pixels += gx.length
    if (twice) this.#subsampled += 1
    return this
  }

  result(): FlowErrors {
    return {
      epe: this.#endPointError / this.#valid,
      px1: this.#below1 / this.#valid,
      px3: this.#below3 / this.#valid,
      px5: this.#below5 / this.#valid,
      flAll: (100 * this.#outliers) / this.#valid,
      validPixels: this.#valid,
      loss: this.#absoluteError / (2 * this.#pixels),
      subsampled: this.#subsampled,
    }
  }

  #addPixel(dx: number, dy: number, motion: number): void {
    const error = Math.hypot(dx, dy)
    this.#valid += 1
    this.#endPointError += error
    this.#absoluteError += Math.abs(dx) + Math.abs(dy)
    if (error < 1) this.#below1 += 1
    if (error < 3) this.#below3 += 1
    if (error < 5) this.#below5 += 1
    // Written so that a NaN prediction is an outlier.
    if (!(error <= 3 || error <= 0.05 * motion)) this.#outliers += 1
  }
}

/**
 * The errors of one field. See {@link FlowMetrics} for several.
 *
 * Ground truth of twice the size is subsampled, as {@link FlowMetrics.add} says.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if the sizes differ otherwise, or `maxFlow` is not above 0.
 */
export function evaluate(
  prediction: FlowField,
  groundTruth: FlowField,
  options: EvaluateOptions & FlowMetricsOptions = {},
): FlowErrors {
  return new FlowMetrics(options).add(prediction, groundTruth, options).result()
}

/** @throws {FlowError} `ERR_ARGUMENT` if the mask has neither the size of the ground truth nor half of it */
function halfMask(
  valid: ArrayLike<number>,
  prediction: FlowField,
  { width, height }: FlowField,
): ArrayLike<number> {
  const pixels = prediction.width * prediction.height
  if (width * height === 4 * pixels && valid.length === 4 * pixels) return subsampleValues(valid, prediction)
  throw new FlowError('ERR_ARGUMENT', `valid has ${valid.length} values, not one per pixel, ${pixels}`)
}
