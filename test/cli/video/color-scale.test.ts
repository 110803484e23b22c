import { expect, test } from 'vitest'
import { ColorScale } from '../../../lib/cli/video/color-scale.js'
import { FlowField } from '../../../lib/index.js'

/** A field that moves to the right, but for a few pixels. */
function moving(pixels: number, outlier = pixels): FlowField {
  const field = new FlowField(256, 192)
  field.x.fill(pixels)
  field.x.fill(outlier, 0, 300)
  return field
}

test('the scale follows larger motion at once, and smaller motion slowly', () => {
  const scale = new ColorScale()
  expect(scale.next(moving(8))).toBe(8)
  expect(scale.next(moving(20))).toBe(20)
  let last = 20
  for (let frame = 0; frame < 30; frame++) {
    const next = scale.next(moving(2))
    expect(next).toBeLessThan(last)
    expect(next).toBeGreaterThan(0.97 * last)
    last = next
  }
  expect(last).toBeCloseTo(10)
})

test('a few wrong pixels, unknown flow and the noise of a still scene do not set it', () => {
  expect(new ColorScale().next(moving(8, 500))).toBe(8)
  expect(new ColorScale().next(moving(8, NaN))).toBe(8)
  expect(new ColorScale().next(moving(0.05))).toBe(1)
  expect(new ColorScale().next(moving(NaN))).toBe(1)
})
