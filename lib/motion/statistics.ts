import { FlowError } from '../errors.js'
import { isUnknown } from '../formats/unknown.js'
import { allocateFloats } from '../support/allocate.js'
import { checkOptions } from '../support/arguments.js'
import { shown } from '../support/quote.js'
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
  options: MagnitudeOptions = {},
): MotionStatistics {
  checkOptions(options)
  const { threshold = 0.5 } = options
  if (!(threshold >= 0))
    throw new FlowError('ERR_ARGUMENT', `threshold is a length in pixels, 0 or more, got ${shown(threshold)}`)
  const pixels = width * height
  const lengths = allocateFloats(pixels, 'the lengths of a flow field')
  let known = 0
  let sum = 0
  let moving = 0
  let max = NaN
  for (let i = 0; i < pixels; i++) {
    const x = data[i]!
    const y = data[i + pixels]!
    if (isUnknown(x, y)) continue
    // Math.hypot takes many times as long, and nothing overflows here.
    const length = Math.sqrt(x * x + y * y)
    lengths[known++] = length
    sum += length
    if (length > threshold) moving += 1
    if (!(length <= max)) max = length
  }
  const percentile = percentilesOf(lengths.subarray(0, known))
  return {
    mean: sum / known,
    p50: percentile(50),
    p90: percentile(90),
    p95: percentile(95),
    p99: percentile(99),
    max,
    moving: moving / known,
    unknown: pixels - known,
  }
}

/**
 * The percentiles of lengths; NaN if there are none. Floats of 0 and more are in the order of their bits. So lengths are counted by
 * their upper 16 bits, and only those of the bin that a percentile is in are sorted: that takes an eighth of the time.
 */
function percentilesOf(lengths: Float32Array): (percent: number) => number {
  if (lengths.length === 0) return () => NaN
  const bits = new Uint32Array(lengths.buffer, lengths.byteOffset, lengths.length)
  const counts = new Uint32Array(2 ** 15)
  for (let i = 0; i < bits.length; i++) counts[bits[i]! >>> 16]! += 1
  const sorted = new Map<number, Float32Array>()
  /** At a place of the ascending order. */
  const at = (place: number): number => {
    let bin = 0
    let before = 0
    while (before + counts[bin]! <= place) before += counts[bin++]!
    let values = sorted.get(bin)
    if (values === undefined) {
      values = new Float32Array(counts[bin]!)
      for (let i = 0, filled = 0; i < bits.length; i++)
        if (bits[i]! >>> 16 === bin) values[filled++] = lengths[i]!
      sorted.set(bin, values.sort())
    }
    return values[place - before]!
  }
  return (percent) => {
    const place = ((lengths.length - 1) * percent) / 100
    const below = at(Math.floor(place))
    return below + (place % 1) * (at(Math.ceil(place)) - below)
  }
}
