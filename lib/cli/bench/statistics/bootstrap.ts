import { median } from './summary.js'

/** A ratio of medians, and the interval that holds it with 95 % confidence. */
export interface Ratio {
  readonly ratio: number
  readonly low: number
  readonly high: number
}

const RESAMPLES = 1000
/** Of more samples, neighbours are put together: the bootstrap of so many takes a second. */
const MOST = 5000
const TAIL = 0.025

/**
 * The ratio of medians of samples that were taken in turns: `times[i]` right beside `base[i]`. Pairs are resampled together, so a
 * slow moment of the machine, which affects both, does not widen the interval.
 *
 * Percentile bootstrap over moving blocks of successive pairs (Künsch 1989), of length n^(1/3), because neighbours in time are alike.
 * The same samples give the same interval.
 */
export function pairedRatio(times: readonly number[], base: readonly number[]): Ratio {
  const count = Math.min(times.length, base.length)
  const [a, b] = [thinned(times.slice(0, count)), thinned(base.slice(0, count))]
  const n = a.length
  const [left, right] = [new Float64Array(n), new Float64Array(n)]
  return interval(median(times) / median(base), n, (draw) => {
    draw(n, (from, to) => {
      left[to] = a[from]!
      right[to] = b[from]!
    })
    return median(left) / median(right)
  })
}

/** As {@link pairedRatio}, for samples of two runs, which are resampled each by itself. */
export function unpairedRatio(times: readonly number[], base: readonly number[]): Ratio {
  const [a, b] = [thinned(times), thinned(base)]
  const [left, right] = [new Float64Array(a.length), new Float64Array(b.length)]
  return interval(median(times) / median(base), Math.min(a.length, b.length), (draw) => {
    draw(a.length, (from, to) => (left[to] = a[from]!))
    draw(b.length, (from, to) => (right[to] = b[from]!))
    return median(left) / median(right)
  })
}

/** Of many samples, the medians of groups of neighbours. */
function thinned(samples: readonly number[]): Float64Array {
  const size = Math.ceil(samples.length / MOST)
  if (size <= 1) return Float64Array.from(samples)
  return Float64Array.from({ length: Math.ceil(samples.length / size) }, (_, i) =>
    median(samples.slice(i * size, (i + 1) * size)),
  )
}

/** Fills `n` places with samples, in blocks: calls `put(index of a sample, place)` for each place. */
type Draw = (n: number, put: (from: number, to: number) => void) => void

function interval(ratio: number, n: number, resample: (draw: Draw) => number): Ratio {
  if (n < 2) return { ratio, low: 0, high: Infinity }
  const random = mulberry32(n)
  const draw: Draw = (count, put) => {
    const length = Math.ceil(Math.cbrt(count))
    for (let to = 0; to < count;) {
      // Blocks run on from the end to the start, so that all samples are drawn equally often.
      const start = Math.floor(random() * count)
      for (let i = 0; i < length && to < count; i++) put((start + i) % count, to++)
    }
  }
  const ratios = Float64Array.from({ length: RESAMPLES }, () => resample(draw)).sort()
  return {
    ratio,
    low: ratios[Math.floor(TAIL * RESAMPLES)]!,
    high: ratios[Math.ceil((1 - TAIL) * RESAMPLES) - 1]!,
  }
}

/** Pseudo-random numbers from 0 to 1, 1 excluded: mulberry32, by Tommy Ettinger, in the public domain. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
