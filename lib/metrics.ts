import { FlowError } from './errors.js'
import type { FlowField } from './flow-field.js'
import { isTwice, subsample, subsampleValues } from './subsample.js'
import { checkField, checkOptions, described } from './support/arguments.js'
import { shown } from './support/quote.js'

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
  /** The mean end-point error, px, of the pixels that move less than 10 px; NaN if there are none. Sintel's s0-10. */
  readonly s0to10: number
  /** The same of those that move 10 to 40 px. Sintel's s10-40. */
  readonly s10to40: number
  /** The same of those that move more than 40 px. Sintel's s40+. */
  readonly s40plus: number
  /** The same of the pixels that are visible in the second frame; NaN if no field was added with `occluded`. Sintel's EPE matched. */
  readonly matched: number
  /** The same of the pixels that are hidden in the second frame, or have left it. Sintel's EPE unmatched. */
  readonly occluded: number
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
  /**
   * Likewise: a pixel is hidden in the second frame, or has left it, if its value is 0.5 or more. Default: nobody knows, and
   * `matched` and `occluded` do not count the field.
   */
  readonly occluded?: ArrayLike<number> | undefined
}

export interface FlowMetricsOptions {
  /** Pixels that move this far or farther in the ground truth, in px, are left out. Default 400, as in training. */
  readonly maxFlow?: number | undefined
}

const DEFAULT_MAX_FLOW = 400

/** Pixels of a kind, and the sum of their end-point errors in pixels. */
export type ErrorSum = [pixels: number, endPointError: number]

/** What is known of the fields that were added. JSON keeps it: it makes NaN null, which `addSums` takes for NaN. */
export interface FlowSums {
  pixels: number
  subsampled: number
  absoluteError: number
  below1: number
  below3: number
  below5: number
  outliers: number
  all: ErrorSum
  s0to10: ErrorSum
  s10to40: ErrorSum
  s40plus: ErrorSum
  matched: ErrorSum
  occluded: ErrorSum
}

const COUNTS = ['pixels', 'subsampled', 'absoluteError', 'below1', 'below3', 'below5', 'outliers'] as const
const ERRORS = ['all', 's0to10', 's10to40', 's40plus', 'matched', 'occluded'] as const

function noSums(): FlowSums {
  const counts = { pixels: 0, subsampled: 0, absoluteError: 0, below1: 0, below3: 0, below5: 0, outliers: 0 }
  const errors = {
    all: [0, 0],
    s0to10: [0, 0],
    s10to40: [0, 0],
    s40plus: [0, 0],
    matched: [0, 0],
    occluded: [0, 0],
  }
  return { ...counts, ...(errors as Record<(typeof ERRORS)[number], ErrorSum>) }
}

/**
 * Sums errors over many fields: a dataset's figures are means over its pixels, not over its frames.
 *
 * A pixel counts if it is valid, its ground truth is finite, and its motion is shorter than `maxFlow`. A prediction that is
 * NaN on such a pixel makes `epe` and `loss` NaN, and counts as an outlier.
 */
export class FlowMetrics {
  readonly #maxFlow: number
  readonly #sums: FlowSums = noSums()

  /** @throws {FlowError} `ERR_ARGUMENT` if `maxFlow` is not above 0. */
  constructor(options: FlowMetricsOptions = {}) {
    checkOptions(options)
    const { maxFlow = DEFAULT_MAX_FLOW } = options
    if (!(maxFlow > 0))
      throw new FlowError('ERR_ARGUMENT', `maxFlow is a length in pixels above 0, got ${shown(maxFlow)}`)
    this.#maxFlow = maxFlow
  }

  /**
   * Adds a field. Ground truth of twice the width and height is subsampled as Spring's is, whose frames have half its size: every
   * second pixel of every second row is taken, and its motion as it is, in pixels of the frames.
   *
   * @throws {FlowError} `ERR_ARGUMENT` if the sizes differ otherwise; then nothing is added.
   */
  add(prediction: FlowField, groundTruth: FlowField, options: EvaluateOptions = {}): this {
    checkField(prediction, 'prediction')
    checkField(groundTruth, 'groundTruth')
    checkOptions(options)
    const { valid, occluded } = options
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
    const mask = maskFor('valid', valid, prediction, groundTruth)
    const hidden = maskFor('occluded', occluded, prediction, groundTruth)
    const [px, py, gx, gy] = [prediction.x, prediction.y, truth.x, truth.y]
    for (let i = 0; i < gx.length; i++) {
      // Math.hypot takes many times as long.
      const motion = Math.sqrt(gx[i]! * gx[i]! + gy[i]! * gy[i]!)
      // Written so that NaN, which compares false, is left out.
      if (!(motion < this.#maxFlow) || (mask !== undefined && !(mask[i]! >= 0.5))) continue
      const error = this.#addPixel(px[i]! - gx[i]!, py[i]! - gy[i]!, motion)
      if (hidden !== undefined) addError(hidden[i]! >= 0.5 ? this.#sums.occluded : this.#sums.matched, error)
    }
    this.#sums.pixels += gx.length
    if (twice) this.#sums.subsampled += 1
    return this
  }

  /** A copy of the sums of all fields that were added. */
  sums(): FlowSums {
    return structuredClone(this.#sums)
  }

  /**
   * Adds what `sums` of another one gave, also through JSON: as if its fields were added here.
   *
   * @throws {FlowError} `ERR_ARGUMENT` for anything else; then nothing is added.
   */
  addSums(sums: FlowSums): this {
    if (!ERRORS.every((key) => Array.isArray((sums as Partial<FlowSums> | undefined)?.[key])))
      throw new FlowError('ERR_ARGUMENT', `sums: must be what sums() gave, not ${described(sums)}`)
    for (const key of COUNTS) this.#sums[key] += sums[key] ?? NaN
    for (const key of ERRORS) {
      this.#sums[key][0] += sums[key][0]
      this.#sums[key][1] += sums[key][1] ?? NaN
    }
    return this
  }

  result(): FlowErrors {
    const { pixels, absoluteError, below1, below3, below5, outliers, subsampled, all, ...kinds } = this.#sums
    const [validPixels, endPointError] = all
    const mean = ([count, sum]: ErrorSum) => sum / count
    return {
      epe: endPointError / validPixels,
      px1: below1 / validPixels,
      px3: below3 / validPixels,
      px5: below5 / validPixels,
      flAll: (100 * outliers) / validPixels,
      s0to10: mean(kinds.s0to10),
      s10to40: mean(kinds.s10to40),
      s40plus: mean(kinds.s40plus),
      matched: mean(kinds.matched),
      occluded: mean(kinds.occluded),
      validPixels,
      loss: absoluteError / (2 * pixels),
      subsampled,
    }
  }

  /** Returns the end-point error. */
  #addPixel(dx: number, dy: number, motion: number): number {
    const sums = this.#sums
    const error = Math.sqrt(dx * dx + dy * dy)
    addError(sums.all, error)
    addError(motion < 10 ? sums.s0to10 : motion <= 40 ? sums.s10to40 : sums.s40plus, error)
    sums.absoluteError += Math.abs(dx) + Math.abs(dy)
    if (error < 1) sums.below1 += 1
    if (error < 3) sums.below3 += 1
    if (error < 5) sums.below5 += 1
    // Written so that a NaN prediction is an outlier.
    if (!(error <= 3 || error <= 0.05 * motion)) sums.outliers += 1
    return error
  }
}

function addError(sum: ErrorSum, error: number): void {
  sum[0] += 1
  sum[1] += error
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

/**
 * A mask at the size of the prediction.
 *
 * @throws {FlowError} `ERR_ARGUMENT` if it has neither the size of the ground truth nor half of it
 */
function maskFor(
  name: 'valid' | 'occluded',
  mask: ArrayLike<number> | undefined,
  prediction: FlowField,
  { width, height }: FlowField,
): ArrayLike<number> | undefined {
  const pixels = prediction.width * prediction.height
  if (mask === undefined || mask.length === pixels) return mask
  if (width * height === 4 * pixels && mask.length === 4 * pixels) return subsampleValues(mask, prediction)
  throw new FlowError('ERR_ARGUMENT', `${name} has ${mask.length} values, not one per pixel, ${pixels}`)
}
