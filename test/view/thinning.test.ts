import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pixelsOf } from '../../lib/cli/view/pack.js'
import { MOST_PIXELS, thin } from '../../lib/cli/view/thinning.js'

test.each([
  ['a pair', 1024, 436, 1, { step: 1, every: 1 }],
  ['a very wide flow', 16_384, 2, 1, { step: 1, every: 1 }],
  ['a flow of 8K', 7680, 4320, 1, { step: 2, every: 1 }],
  ['ten seconds of VGA', 640, 480, 300, { step: 2, every: 2 }],
  ['a minute of HD', 1280, 720, 1500, { step: 4, every: 6 }],
] as const)('%s is thinned as the help says', (_, width, height, count, expected) => {
  const { grid, every } = thin({ width, height }, count)
  expect({ step: grid.step, every }).toEqual(expected)
})

test('any sequence fits, and every pixel of its grid is in the flow', () => {
  const side = fc.integer({ min: 1, max: 20_000 })
  fc.assert(
    fc.property(side, side, fc.integer({ min: 1, max: 5000 }), (width, height, count) => {
      const { grid, every } = thin({ width, height }, count)
      expect(grid.columns * grid.rows * Math.floor(count / every)).toBeLessThanOrEqual(MOST_PIXELS)
      expect(grid.offset + grid.step * (grid.columns - 1)).toBeLessThan(width)
      expect(grid.offset + grid.step * (grid.rows - 1)).toBeLessThan(height)
    }),
  )
})

test('the grid takes the pixels that it says', () => {
  const grid = { columns: 3, rows: 2, step: 2, offset: 0 }
  expect([...pixelsOf(grid, 6)]).toEqual([0, 2, 4, 12, 14, 16])
})
