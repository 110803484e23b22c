import { FlowError } from '../errors.js'
import { isUnknown } from '../formats/unknown.js'
import { allocateFloats } from '../support/allocate.js'
import type { Planar } from './sample.js'

/** Options of `FlowField.magnitude`. */
export interface MagnitudeOptions {
  /** A pixel moves if its motion is longer than this, in pixels; 0 or more. Default 0.5. */
  readonly threshold?: number | undefined
}

/** The lengths of the motions in a field, in pixels, over the pixels whose flow is known. NaN if it is known of none. */
export interface MotionStatistics {
  readonly mean: number
  /** The median. As the other percentiles, it is interpolated between the two nearest lengths, as NumPy's. */
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
  /** The share of the known pixels, 0 to 1, that move farther than the threshold. */
  readonly moving: number
  /** The number of pixels whose flow is unknown. */
  readonly unknown: number
}

/** @throws {FlowError} `ERR_ARGUMENT` if the threshold is negative or no number */
export function motionStatistics(
  { width, height, data }: Planar,
  { threshold = 0.5 }: MagnitudeOptions = {},
): MotionStatistics {
  if (!(threshold >= 0))
    throw new FlowError('ERR_ARGUMENT', `threshold is a length in pixels, 0 or more, got ${threshold}`)
  const pixels = width * height
  const lengths = allocateFloats(pixels, 'the lengths of a flow field')
  let known = 0
  let sum = 0
  let moving = 0
  let max = NaN
  for (let i = 0; i < pixels; i++) {
    const [x, y] = [data[i]!, data[i + pixels]!]
    if (isUnknown(x, y)) continue
    // Math.hypot takes many times as long, and nothing overflows here.
    const length = Math.sqrt(x * x + y * y)
    lengths[known++] = length
    sum += length
    if (length > threshold) moving += 1
    if (!(length <= max)) max = length
  }
  const sorted = lengths.subarray(0, known).sort()
  return {
    mean: sum / known,
    p50: percentile(sorted, 50),
    p90: percentile(sorted, 90),
    p95: percentile(sorted, 95),
    p99: percentile(sorted, 99),
    max,
    moving: moving / known,
    unknown: pixels - known,
  }
}

/** Of ascending values; NaN if there are none. */
function percentile(sorted: Float32Array, percent: number): number {
  const place = ((sorted.length - 1) * percent) / 100
  const below = sorted[Math.floor(place)] ?? NaN
  const above = sorted[Math.ceil(place)] ?? NaN
  return below + (place % 1) * (above - below)
}
