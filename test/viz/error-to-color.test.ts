import { expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { errorToColor } from '../../lib/viz/index.js'

/** Errors to the right of a motion down. */
function colorsOf(motion: number, ...errors: number[]): number[][] {
  const n = errors.length
  const truth = new FlowField(n, 1)
  truth.y.fill(motion)
  const prediction = new FlowField(n, 1, Float32Array.of(...errors, ...Array<number>(n).fill(motion)))
  const { data } = errorToColor(prediction, truth)
  return errors.map((_, i) => [...data.subarray(3 * i, 3 * i + 3)])
}

const [BLUE, PALE, YELLOW, RED] = [
  [49, 54, 149],
  [224, 243, 248],
  [254, 224, 144],
  [165, 0, 38],
]

test('errors are blue where a pixel counts as right, and yellow to red where it counts as wrong', () => {
  expect(colorsOf(0, 0, 0.18, 2.99, 3, 5.9, 48, 1e6, NaN)).toEqual([
    BLUE,
    BLUE,
    PALE,
    YELLOW,
    YELLOW,
    RED,
    RED,
    RED,
  ])
  // 5 % of 200 px.
  expect(colorsOf(200, 9.9, 10)).toEqual([PALE, YELLOW])
})

test('what has no ground truth is black, and sizes must be equal', () => {
  expect([...errorToColor(new FlowField(1, 1), new FlowField(1, 1, Float32Array.of(NaN, 0))).data]).toEqual([
    0, 0, 0,
  ])
  expect(() => errorToColor(new FlowField(1, 1), new FlowField(2, 1))).toThrow(
    expect.objectContaining({ code: 'ERR_ARGUMENT' }),
  )
})
