import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { anyFlow, expectSameFlow } from '../formats/helpers.js'
import { flowError } from '../support/compare.js'
import { fieldOf, uniform } from './helpers.js'

// Without -0, which adding makes 0.
const anyVector = fc.float({ noNaN: true, min: -100, max: 100 }).map((value) => value + 0)
const anySide = fc.integer({ min: 1, max: 40 })

describe('at', () => {
  test('is the vector of a pixel at its centre, unknown ones too', () => {
    fc.assert(
      fc.property(anyFlow(anyVector), fc.nat(), fc.nat(), (flow, a, b) => {
        const [x, y] = [a % flow.width, b % flow.height]
        const i = y * flow.width + x
        expect(flow.at(x, y)).toEqual({ x: flow.x[i], y: flow.y[i] })
      }),
    )
  })

  test('is exact between the pixels of a linear field', () => {
    const flow = fieldOf(7, 5, (x, y) => [2 * x - y, 3 * y + 1])
    for (const [x, y] of [
      [2.25, 1.5],
      [0, 3.75],
      [5.5, 4],
    ] as const) {
      expect(flow.at(x, y).x).toBeCloseTo(2 * x - y, 12)
      expect(flow.at(x, y).y).toBeCloseTo(3 * y + 1, 12)
    }
  })

  test('reaches half a pixel beyond the outer centres, and is unknown beyond', () => {
    const flow = fieldOf(3, 2, (x, y) => [x, y])
    expect(flow.at(-0.5, -0.5)).toEqual({ x: 0, y: 0 })
    expect(flow.at(2.4, 1.4)).toEqual({ x: 2, y: 1 })
    for (const [x, y] of [
      [2.5, 0],
      [0, 1.5],
      [-0.51, 0],
      [NaN, 0],
      [0, -Infinity],
      [1e300, 0],
    ] as const)
      expect(flow.at(x, y)).toEqual({ x: NaN, y: NaN })
  })

  test('leaves unknown neighbours out, unless they have more than half of the weight', () => {
    const flow = new FlowField(2, 1, Float32Array.of(4, NaN, 2, NaN))
    expect(flow.at(0.5, 0)).toEqual({ x: 4, y: 2 })
    expect(flow.at(0.51, 0)).toEqual({ x: NaN, y: NaN })
    // Files mark unknown flow so, and a field may hold it.
    expect(new FlowField(2, 1, Float32Array.of(4, 1e10, 2, 0)).at(0.4, 0)).toEqual({ x: 4, y: 2 })
  })

  test('writes to the vector that it is given', () => {
    const into = { x: 9, y: 9 }
    expect(uniform(2, 2, 1, -1).at(0, 0, into)).toBe(into)
    expect(into).toEqual({ x: 1, y: -1 })
  })
})

describe('resize', () => {
  /** Of 6 x 5 pixels. */
  const golden = fieldOf(6, 5, (x, y) => {
    const i = 6 * y + x
    return [((7 * i * i + 3 * i) % 11) - 5, ((5 * i * i + i) % 13) - 6]
  })

  // torch.nn.functional.interpolate(..., mode='bilinear', align_corners=False, antialias=True), times the scale of the sides.
  test.each([
    [
      4,
      3,
      [
        -0.72619, 0.08466, -0.9418, -1.7619, 0.37963, -0.41975, -1.40741, -0.37963, -0.9881, -0.73016,
        -1.1746, -0.45238,
      ],
      [
        -1.70357, 0.31429, 1.05714, -1.73571, -1.98333, -0.95556, 1.06667, 0.14167, -1.62857, -1.77143,
        0.08571, 1.02857,
      ],
    ],
    [2, 2, [-0.13826, -0.55492, -0.24242, -0.45076], [-0.47955, 0.04545, -1.02273, 0.34545]],
  ])('to %i x %i is what PyTorch gives', (width, height, x, y) => {
    const { data } = golden.resize(width, height)
    ;[...x, ...y].forEach((value, i) => expect(data[i]).toBeCloseTo(value, 4))
  })

  test('enlarged is what PyTorch gives', () => {
    const { x, y } = golden.resize(9, 7)
    const row = (values: Float32Array, from: number) => [...values.subarray(9 * from, 9 * from + 9)]
    const rowX = [-2.35714, -1.28571, 0.10714, 1.39286, -0.96429, -3.39286, -2.39286, -3.85714, -5.57143]
    const rowY = [-1.4, -2.1, -3.73333, -7.46667, -4.2, 0.7, 3.5, 4.2, 4.2]
    row(x, 1).forEach((value, i) => expect(value).toBeCloseTo(rowX[i]!, 4))
    row(y, 6).forEach((value, i) => expect(value).toBeCloseTo(rowY[i]!, 4))
  })

  test('to its own size is the same, unknown vectors too', () => {
    fc.assert(
      fc.property(anyFlow(anyVector), (flow) => {
        const same = flow.resize(flow.width, flow.height)
        flow.data.forEach((value, i) => expect(same.data[i]).toBe(value))
      }),
    )
  })

  test('a uniform motion stays uniform and is scaled as the sides are', () => {
    fc.assert(
      fc.property(anySide, anySide, anySide, anySide, (width, height, toWidth, toHeight) => {
        const { x, y } = uniform(width, height, 3, -5).resize(toWidth, toHeight)
        const off = (values: Float32Array, expected: number) =>
          values.reduce((most, value) => Math.max(most, Math.abs(value - expected)), 0)
        expect(off(x, (3 * toWidth) / width)).toBeLessThan(1e-4)
        expect(off(y, (-5 * toHeight) / height)).toBeLessThan(1e-4)
      }),
    )
  })

  test('enlarged, a place has the motion that it had, scaled', () => {
    const factor = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(anyFlow(anyVector), factor, factor, fc.nat(), fc.nat(), (flow, kx, ky, a, b) => {
        const large = flow.resize(kx * flow.width, ky * flow.height)
        const [column, row] = [a % large.width, b % large.height]
        const [x, y] = [(column + 0.5) / kx - 0.5, (row + 0.5) / ky - 0.5]
        const [before, after] = [flow.at(x, y), large.at(column, row)]
        const tolerance = 1e-4 * (1 + Math.abs(after.x) + Math.abs(after.y))
        if (Number.isNaN(before.x)) expect(after.x).toBeNaN()
        else {
          expect(Math.abs(after.x - kx * before.x)).toBeLessThan(tolerance)
          expect(Math.abs(after.y - ky * before.y)).toBeLessThan(tolerance)
        }
      }),
    )
  })

  test('unknown vectors stay unknown, and do not spread', () => {
    const flow = uniform(8, 8, 1, 1)
    flow.x[27] = flow.y[27] = NaN
    const unknown = ({ x }: FlowField) => x.filter(Number.isNaN).length
    expect(unknown(flow.resize(16, 16))).toBe(4)
    expect(unknown(flow.resize(4, 4))).toBe(0)
    const half = uniform(8, 8, 1, 1)
    for (let i = 0; i < 64; i++) if (i % 8 < 4) half.x[i] = half.y[i] = NaN
    expect(unknown(half.resize(4, 4))).toBe(8)
    expect(unknown(uniform(3, 3, NaN, NaN).resize(7, 2))).toBe(14)
  })

  test('writes to the field that it is given, and refuses one of another size or itself', () => {
    const into = new FlowField(4, 2)
    const flow = uniform(2, 1, 1, 1)
    expect(flow.resize(4, 2, { into })).toBe(into)
    expectSameFlow(into, uniform(4, 2, 2, 2))
    expect(() => flow.resize(2, 4, { into })).toThrow(flowError('ERR_ARGUMENT', '2 x 4'))
    expect(() => flow.resize(2, 1, { into: flow })).toThrow(flowError('ERR_ARGUMENT', 'memory'))
    expect(() => flow.resize(0, 1)).toThrow(flowError('ERR_ARGUMENT', '0 x 1'))
    expect(() => flow.resize(1.5, 1)).toThrow(flowError('ERR_ARGUMENT'))
  })
})

describe('magnitude', () => {
  test('has the figures of NumPy', () => {
    // numpy.percentile([0, 1, 2, 5, 13], [50, 90, 95, 99]): 2, 9.8, 11.4, 12.68
    const flow = new FlowField(3, 2, Float32Array.of(0, 1, 0, 3, 5, NaN, 0, 0, -2, -4, 12, NaN))
    const { p90, p95, p99, ...others } = flow.magnitude()
    expect(others).toEqual({ mean: 4.2, p50: 2, max: 13, moving: 0.8, unknown: 1 })
    expect(p90).toBeCloseTo(9.8, 6)
    expect(p95).toBeCloseTo(11.4, 6)
    expect(p99).toBeCloseTo(12.68, 6)
    expect(flow.magnitude({ threshold: 2 }).moving).toBe(0.4)
    expect(flow.magnitude({ threshold: 0 }).moving).toBe(0.8)
  })

  test('percentiles are those of the sorted lengths, whatever they are', () => {
    const wild = fc.float({ noNaN: true, min: -1e8, max: 1e8 })
    fc.assert(
      fc.property(anyFlow(fc.oneof(wild, anyVector, fc.constant(0))), (flow) => {
        const lengths = [...flow.x].map((x, i) => Math.fround(Math.sqrt(x * x + flow.y[i]! ** 2)))
        const sorted = lengths.filter((length) => !Number.isNaN(length)).sort((a, b) => a - b)
        const { p50, p99, max } = flow.magnitude()
        if (sorted.length === 0) return
        const expected = (percent: number) => {
          const place = ((sorted.length - 1) * percent) / 100
          const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!]
          return below + (place % 1) * (above - below)
        }
        expect([p50, p99, Math.fround(max)]).toEqual([expected(50), expected(99), sorted.at(-1)])
      }),
    )
  })

  test('of nothing known is NaN, and of one pixel that pixel', () => {
    expect(uniform(2, 2, NaN, 0).magnitude()).toEqual({
      mean: NaN,
      p50: NaN,
      p90: NaN,
      p95: NaN,
      p99: NaN,
      max: NaN,
      moving: NaN,
      unknown: 4,
    })
    expect(uniform(1, 1, 3, 4).magnitude()).toMatchObject({ mean: 5, p50: 5, p99: 5, max: 5, moving: 1 })
  })

  test('refuses a threshold that is no length', () => {
    for (const threshold of [-1, NaN])
      expect(() => uniform(1, 1, 0, 0).magnitude({ threshold })).toThrow(
        flowError('ERR_ARGUMENT', 'threshold'),
      )
  })
})
