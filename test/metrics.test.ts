import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../lib/flow-field.js'
import { evaluate, type FlowErrors, FlowMetrics } from '../lib/metrics.js'
import { anyFlow, fixture, floats } from './formats/helpers.js'

const [WIDTH, HEIGHT] = [32, 24]
const PIXELS = WIDTH * HEIGHT

interface Expected {
  loss: number
  epe: number
  px1: number
  px3: number
  px5: number
  fl_all_percent: number
  valid_pixels: number
}

function batch(path: string): FlowField[] {
  const values = floats(path)
  return [0, 1].map((i) => new FlowField(WIDTH, HEIGHT, values.slice(2 * PIXELS * i, 2 * PIXELS * (i + 1))))
}

function goldenErrors(): FlowErrors {
  const predictions = batch('metrics/pred_2x2x24x32.f32')
  const truths = batch('metrics/gt_2x2x24x32.f32')
  const valid = floats('metrics/valid_2x24x32.f32')
  const metrics = new FlowMetrics()
  predictions.forEach((prediction, i) => {
    metrics.add(prediction, truths[i]!, { valid: valid.subarray(PIXELS * i, PIXELS * (i + 1)) })
  })
  return metrics.result()
}

function pixels(...motions: readonly (readonly [number, number])[]): FlowField {
  const values = [...motions.map(([x]) => x), ...motions.map(([, y]) => y)]
  return new FlowField(motions.length, 1, Float32Array.from(values))
}

describe('flow metrics', () => {
  test("give the golden batch's figures", () => {
    const expected: Expected = JSON.parse(new TextDecoder().decode(fixture('metrics/expected.json')))
    const errors = goldenErrors()
    expect(errors.validPixels).toBe(expected.valid_pixels)
    expect(errors.flAll).toBeCloseTo(expected.fl_all_percent, 10)
    // The golden means were taken in float32.
    expect(Math.abs(errors.loss / expected.loss - 1)).toBeLessThan(1e-6)
    expect(Math.abs(errors.epe / expected.epe - 1)).toBeLessThan(1e-6)
    expect(Math.abs(errors.px1 / expected.px1 - 1)).toBeLessThan(1e-6)
    expect(Math.abs(errors.px3 / expected.px3 - 1)).toBeLessThan(1e-6)
    expect(Math.abs(errors.px5 / expected.px5 - 1)).toBeLessThan(1e-6)
  })

  test('a perfect prediction has no error', () => {
    const truth = pixels([1, 2], [-30, 40])
    expect(evaluate(truth, truth)).toEqual({
      epe: 0,
      px1: 1,
      px3: 1,
      px5: 1,
      flAll: 0,
      validPixels: 2,
      loss: 0,
      subsampled: 0,
    })
  })

  test('thresholds are not met by an error that equals them', () => {
    const truth = pixels([0, 0], [0, 0], [0, 0])
    const { px1, px3, px5, flAll } = evaluate(pixels([1, 0], [0, 3], [3, 4]), truth)
    expect({ px1, px3, px5, flAll }).toEqual({ px1: 0, px3: 1 / 3, px5: 2 / 3, flAll: 100 / 3 })
  })

  test('Fl-all forgives an error of up to 5 % of the motion', () => {
    const truth = pixels([100, 0], [100, 0])
    expect(evaluate(pixels([104, 0], [106, 0]), truth).flAll).toBe(50)
  })

  test('unknown ground truth and motion beyond maxFlow are left out', () => {
    const truth = pixels([NaN, 0], [0, Infinity], [400, 0], [399, 0])
    const prediction = pixels([0, 0], [0, 0], [0, 0], [399, 2])
    expect(evaluate(prediction, truth)).toMatchObject({ validPixels: 1, epe: 2, loss: 2 / 8 })
    expect(evaluate(prediction, truth, { maxFlow: Infinity }).validPixels).toBe(2)
  })

  test('a prediction of NaN cannot hide', () => {
    const errors = evaluate(pixels([NaN, 0], [0, 0]), pixels([0, 0], [0, 0]))
    expect(errors).toMatchObject({ epe: NaN, loss: NaN, px1: 0.5, px5: 0.5, flAll: 50 })
  })

  test('fields added one by one give what their pixels give in one field', () => {
    const motion = fc.float({ noNaN: true, min: -50, max: 50 })
    fc.assert(
      fc.property(anyFlow(motion), (truth) => {
        const { width, height } = truth
        const zero = new FlowField(width, height)
        const twice = new FlowMetrics().add(zero, truth).add(zero, truth).result()
        const once = evaluate(zero, truth)
        expect(twice.validPixels).toBe(2 * once.validPixels)
        for (const key of ['epe', 'px1', 'px3', 'px5', 'flAll', 'loss'] as const) {
          expect(twice[key]).toSatisfy(
            (value: number) => Object.is(value, once[key]) || Math.abs(value - once[key]) < 1e-9,
          )
        }
      }),
    )
  })

  test('ground truth of twice the size is subsampled: every second pixel of every second row, its motion as it is', () => {
    const prediction = new FlowField(2, 1, Float32Array.of(1, 2, 0, 0))
    const truth = new FlowField(4, 2, Float32Array.of(1, 90, 4, 90, 90, 90, 90, 90, ...new Float32Array(8)))
    expect(evaluate(prediction, truth)).toMatchObject({ epe: 1, validPixels: 2, subsampled: 1 })
    expect(evaluate(prediction, truth, { valid: [1, 0] })).toMatchObject({ epe: 0, validPixels: 1 })
    expect(evaluate(prediction, truth, { valid: [0, 1, 1, 1, 1, 1, 1, 1] })).toMatchObject({
      epe: 2,
      validPixels: 1,
    })
    expect(() => evaluate(prediction, truth, { valid: [1, 1, 1] })).toThrow('3 values')
    for (const [width, height] of [
      [4, 1],
      [2, 2],
      [1, 1],
      [8, 4],
    ] as const)
      expect(() => evaluate(prediction, new FlowField(width, height))).toThrow(`${width} x ${height}`)
  })

  test('sizes that differ are refused, and nothing is added', () => {
    const metrics = new FlowMetrics()
    const [one, two] = [pixels([1, 1]), pixels([1, 1], [1, 1])]
    expect(() => metrics.add(one, two)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }))
    expect(() => metrics.add(two, two, { valid: [1] })).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT' }),
    )
    expect(() => evaluate(one, one, { maxFlow: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT' }),
    )
    expect(metrics.result().validPixels).toBe(0)
  })
})
