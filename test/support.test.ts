import { describe, expect, it } from 'vitest'
import { largestDifference } from './support/compare.js'
import { worstOfEach } from './support/figures-reporter.js'

// A result that is NaN must never look like a small error, wherever the NaN is among the values.
const PLACES = [
  ['first', [NaN, 1, 2]],
  ['middle', [1, NaN, 2]],
  ['last', [1, 2, NaN]],
] as const

describe('the largest difference', () => {
  it('is that of the two values that are furthest apart', () => {
    expect(largestDifference([1, 5, -2], [1, 4, 3])).toBe(5)
  })

  it.each(PLACES)('is NaN if the %s value is', (_, values) => {
    expect(largestDifference(values, [0, 0, 0])).toBeNaN()
    expect(largestDifference([0, 0, 0], values)).toBeNaN()
  })
})

describe('the worst figure of each name', () => {
  const figures = (values: readonly number[]) =>
    values.map((measured) => ({ what: 'error (px)', bar: 1, measured }))

  it('is the largest', () => {
    const other = { what: 'another', bar: 3, measured: 0 }
    expect(worstOfEach([...figures([1, 3, 2]), other])).toEqual([...figures([3]), other])
  })

  it.each(PLACES)('is NaN if the %s one is', (_, values) => {
    expect(worstOfEach(figures(values))).toEqual(figures([NaN]))
  })
})
