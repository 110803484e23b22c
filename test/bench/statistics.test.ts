import { describe, expect, test } from 'vitest'
import { pairedRatio, unpairedRatio } from '../../lib/cli/bench/statistics/bootstrap.js'
import { distribution, median } from '../../lib/cli/bench/statistics/summary.js'
import { warmUp } from '../../lib/cli/bench/scenarios/warm-up.js'
import { random } from './random.js'

describe('a distribution', () => {
  test('has the percentiles of known data to three digits, and the exact ends', () => {
    const times = Array.from({ length: 10_000 }, (_, i) => (i + 1) / 100) // 0.01 to 100 ms
    const found = distribution(times)
    expect(found).toMatchObject({ count: 10_000, min: 0.01, max: 100 })
    for (const [key, value] of [
      ['p50', 50],
      ['p90', 90],
      ['p95', 95],
      ['p99', 99],
      ['p999', 99.9],
    ] as const)
      expect(Math.abs(found[key] / value - 1), key).toBeLessThan(1e-3)
    expect(found.jitter).toBeCloseTo(99 / 50, 2)
  })

  test('of calls of less than a microsecond is not rounded to microseconds', () => {
    expect(distribution([0.0002, 0.0002, 0.0003]).p50).toBeCloseTo(0.0002, 6)
  })

  test('of one sample is that sample', () => {
    expect(distribution([7])).toEqual({
      count: 1,
      min: 7,
      p50: 7,
      p90: 7,
      p95: 7,
      p99: 7,
      p999: 7,
      max: 7,
      jitter: 1,
    })
  })

  test('the median of an even number is between the middle two', () => {
    expect([median([4, 1, 3, 2]), median([3, 1, 2]), median([])]).toEqual([2.5, 2, NaN])
  })
})

describe('the interval of a ratio', () => {
  /** Two contenders of a known ratio on a machine whose speed wanders, and is the same for both samples of a pair. */
  function pairs(n: number, ratio: number, seed: number) {
    const { uniform, normal } = random(seed)
    const phase = 7 * uniform()
    const base: number[] = []
    const times: number[] = []
    for (let i = 0; i < n; i++) {
      const speed = 10 + 4 * Math.sin(phase + i / 15)
      base.push(speed * (1 + 0.03 * normal()))
      times.push(ratio * speed * (1 + 0.03 * normal()))
    }
    return { times, base }
  }

  test('holds the true ratio about as often as it says', () => {
    let held = 0
    for (let seed = 1; seed <= 60; seed++) {
      const { times, base } = pairs(150, 1.25, seed)
      const { low, high } = pairedRatio(times, base)
      if (low <= 1.25 && 1.25 <= high) held += 1
    }
    // 57 are expected; fewer than 51 have a probability of 0.3 % if the interval is right.
    expect(held).toBeGreaterThanOrEqual(51)
  })

  test('is narrower for pairs than for runs apart, because a slow moment is that of both', () => {
    const { times, base } = pairs(200, 1.25, 5)
    const width = ({ low, high }: { low: number; high: number }) => high - low
    expect(width(pairedRatio(times, base))).toBeLessThan(0.5 * width(unpairedRatio(times, base)))
  })

  test('is the same for the same samples', () => {
    const { times, base } = pairs(40, 0.8, 3)
    expect(pairedRatio(times, base)).toEqual(pairedRatio(times, base))
  })

  test('of very many samples takes seconds, not minutes, and holds the ratio as well', () => {
    const { times, base } = pairs(200_000, 1.25, 4)
    const { ratio, low, high } = pairedRatio(times, base)
    expect(ratio).toBeCloseTo(1.25, 2)
    expect(low).toBeGreaterThan(1.24)
    expect(high).toBeLessThan(1.26)
  })

  test('of one pair is unknown', () => {
    expect(pairedRatio([2], [1])).toEqual({ ratio: 2, low: 0, high: Infinity })
  })
})

describe('warming up', () => {
  const run = async (times: readonly number[], limit: number) => {
    let now = 0
    let i = 0
    const query = async () => {
      const time = times[Math.min(i++, times.length - 1)]!
      now += time
      return time
    }
    return warmUp(query, limit, undefined, () => now)
  }

  test('ends after the first two windows of five that are alike', async () => {
    const slow = [900, 500, 300, 250, 220]
    const falling = [160, 150, 150, 140, 140]
    expect(await run([...slow, ...falling, 100], 60)).toMatchObject({
      queries: 20,
      stable: true,
      median: 100,
    })
  })

  test('ends at its limit if nothing is stable, and says so', async () => {
    const growing = Array.from({ length: 100 }, (_, i) => 100 * 1.1 ** i)
    const { stable, seconds } = await run(growing, 10)
    expect(stable).toBe(false)
    expect(seconds).toBeGreaterThanOrEqual(10)
  })

  test('of 0 seconds runs nothing', async () => {
    expect(await run([1], 0)).toMatchObject({ queries: 0, stable: false })
  })
})
