import { createHistogram } from 'node:perf_hooks'

/** A distribution of durations in milliseconds. */
export interface Distribution {
  readonly count: number
  readonly min: number
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** p99 / p50. */
  readonly jitter: number
}

const NANOSECONDS = 1e6
const LONGEST = 3600e9

/**
 * Percentiles from Node's histogram of nanoseconds, to three digits.
 *
 * @param milliseconds not empty, and none above an hour
 */
export function distribution(milliseconds: readonly number[]): Distribution {
  const histogram = createHistogram({ lowest: 1, highest: LONGEST, figures: 3 })
  let [min, max] = [Infinity, -Infinity]
  for (const value of milliseconds) {
    min = Math.min(min, value)
    max = Math.max(max, value)
    histogram.record(Math.min(LONGEST, Math.max(1, Math.round(NANOSECONDS * value))))
  }
  // A bucket of the histogram gives its upper end, which must not pass the exact maximum.
  const at = (percent: number) => Math.min(max, Math.max(min, histogram.percentile(percent) / NANOSECONDS))
  const [p50, p99] = [at(50), at(99)]
  return {
    count: milliseconds.length,
    min,
    p50,
    p90: at(90),
    p95: at(95),
    p99,
    p999: at(99.9),
    max,
    jitter: p50 === 0 ? 1 : p99 / p50,
  }
}

/** The exact median: the mean of the middle two for an even number. NaN for none. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort()
  const half = sorted.length >> 1
  if (sorted.length === 0) return NaN
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
