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

function goldenErrors(metrics = new FlowMetrics()): FlowErrors {
  const predictions = batch('metrics/pred_2x2x24x32.f32')
  const truths = batch('metrics/gt_2x2x24x32.f32')
  const valid = floats('metrics/valid_2x24x32.f32')
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
      s0to10: 0,
      s10to40: NaN,
      s40plus: 0,
      matched: NaN,
      occluded: NaN,
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

  test('errors are told apart by the length of the motion, as Sintel does', () => {
    const truth = pixels([9.9, 0], [10, 0], [40, 0], [0, 40.5], [NaN, 0])
    const prediction = pixels([8.9, 0], [12, 0], [44, 0], [0, 48.5], [0, 0])
    const { s0to10, s10to40, s40plus } = evaluate(prediction, truth)
    expect([s0to10, s10to40, s40plus]).toEqual([expect.closeTo(1, 6), 3, 8])
  })

  test('errors of hidden and of visible pixels are told apart where the field says which are which', () => {
    const zero = pixels([0, 0], [0, 0], [0, 0])
    const prediction = pixels([1, 0], [2, 0], [6, 0])
    const metrics = new FlowMetrics().add(prediction, zero, { occluded: [0, 0.5, 1], valid: [1, 1, 0] })
    metrics.add(prediction, zero)
    expect(metrics.result()).toMatchObject({ matched: 1, occluded: 2, epe: 12 / 5 })
    expect(() => metrics.add(prediction, zero, { occluded: [1] })).toThrow('occluded has 1 values')
    // Of twice the size, as Spring's.
    const large = new FlowField(6, 2)
    const occluded = [0, 1, 1, 1, 1, 1, ...Array<number>(6).fill(0)]
    expect(evaluate(prediction, large, { occluded })).toMatchObject({ matched: 1, occluded: 4 })
  })

  test('sums that went through JSON give the same figures', () => {
    const metrics = new FlowMetrics()
    expect(goldenErrors(metrics).validPixels).toBeGreaterThan(0)
    const again = new FlowMetrics().addSums(JSON.parse(JSON.stringify(metrics.sums())))
    expect(again.result()).toEqual(metrics.result())
    const twice = new FlowMetrics().addSums(metrics.sums()).addSums(metrics.sums()).result()
    expect(twice.validPixels).toBe(2 * metrics.result().validPixels)
    expect(twice.epe).toBeCloseTo(metrics.result().epe, 9)
    const broken = new FlowMetrics().add(pixels([NaN, 0]), pixels([1, 1])).sums()
    expect(metrics.addSums(JSON.parse(JSON.stringify(broken))).result()).toMatchObject({
      epe: NaN,
      loss: NaN,
    })
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
