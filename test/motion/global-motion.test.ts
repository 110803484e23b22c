import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FlowField } from '../../lib/flow-field.js'
import { globalMotion, type GlobalMotionModel, Homography, warp } from '../../lib/motion/index.js'
import { anyFlow } from '../formats/helpers.js'
import { flowError } from '../support/compare.js'
import { randomFrom } from '../support/random.mjs'
import { fieldOf, uniform } from './helpers.js'

/** A rotation by an angle in degrees about (cx, cy), a scale, and a shift. */
function similarity(
  degrees: number,
  scale: number,
  [cx, cy]: readonly [number, number],
  [dx, dy]: readonly [number, number],
): Homography {
  const [c, s] = [Math.cos, Math.sin].map((f) => scale * f((degrees * Math.PI) / 180)) as [number, number]
  return new Homography([c, -s, cx + dx - c * cx + s * cy, s, c, cy + dy - s * cx - c * cy, 0, 0, 1])
}

/** The longest distance of a motion from another one over a frame. */
function distance(a: Homography, b: Homography, width: number, height: number): number {
  const [fa, fb] = [a.field(width, height), b.field(width, height)]
  return fa.data.reduce((most, value, i) => Math.max(most, Math.abs(value - fb.data[i]!)), 0)
}

/** The motion with noise, and a share of pixels that go elsewhere. */
function disturbed(
  motion: Homography,
  width: number,
  height: number,
  seed: number,
  share: number,
): FlowField {
  const random = randomFrom(seed)
  const flow = motion.field(width, height)
  const noise = () => 0.2 * (random.integer(0, 1000) / 500 - 1)
  for (let i = 0; i < width * height; i++) {
    const away = random.integer(0, 999) < 1000 * share
    flow.x[i]! += away ? random.integer(-60, 60) : noise()
    flow.y[i]! += away ? random.integer(-60, 60) : noise()
  }
  return flow
}

describe('globalMotion', () => {
  test('recovers a homography among outliers', () => {
    const part = fc.double({ min: -1, max: 1, noNaN: true })
    const share = fc.double({ min: 0, max: 0.5, noNaN: true })
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 8, maxLength: 8 }),
        share,
        fc.nat(1e6),
        ([a, b, c, d, e, f, g, h], outliers, seed) => {
          const truth = new Homography([
            1 + 0.1 * a!,
            0.1 * b!,
            20 * c!,
            0.1 * d!,
            1 + 0.1 * e!,
            20 * f!,
            3e-4 * g!,
            3e-4 * h!,
            1,
          ])
          const found = globalMotion(disturbed(truth, 96, 64, seed, outliers))!
          expect(distance(found.homography, truth, 96, 64)).toBeLessThan(0.15)
          expect(found.inliers).toBeGreaterThan(1 - outliers - 0.05)
          expect(found.error).toBeLessThan(0.25)
        },
      ),
      { numRuns: 50 },
    )
  })

  test.each<[GlobalMotionModel, Homography]>([
    ['translation', new Homography([1, 0, 7.25, 0, 1, -3.5, 0, 0, 1])],
    ['similarity', similarity(8, 1.06, [40, 30], [2, -5])],
    ['similarity', similarity(-120, 0.5, [40, 30], [0, 0])],
    ['homography', new Homography([0.98, 0.05, 4, -0.03, 1.02, 2, 4e-4, -3e-4, 1])],
  ])('finds a %s of which 60 %% of the pixels know nothing', (model, truth) => {
    const found = globalMotion(disturbed(truth, 120, 80, 7, 0.6), { model })!
    expect(distance(found.homography, truth, 120, 80)).toBeLessThan(0.1)
    expect(found.inliers).toBeCloseTo(0.4, 1)
  })

  test('without noise is exact', () => {
    const truth = new Homography([1.01, -0.02, 3, 0.03, 0.97, -2, 1e-4, 2e-4, 1])
    const found = globalMotion(truth.field(200, 150))!
    expect(distance(found.homography, truth, 200, 150)).toBeLessThan(1e-4)
    expect(found).toMatchObject({ inliers: 1, counted: 30_000 })
  })

  test('gives the same motion again, to the last bit', () => {
    const flow = disturbed(similarity(3, 1, [9, 9], [1, 1]), 64, 48, 3, 0.4)
    expect(globalMotion(flow)).toEqual(globalMotion(flow))
  })

  test('a moving object is outside of the mask', () => {
    const inObject = (x: number, y: number) => x >= 10 && x < 25 && y >= 5 && y < 20
    const flow = fieldOf(60, 40, (x, y) => (inObject(x, y) ? [9, 1] : [-2, 0.5]))
    const { mask, inliers, homography } = globalMotion(flow, { model: 'translation', mask: true })!
    expect(homography.matrix).toEqual([1, 0, -2, 0, 1, 0.5, 0, 0, 1])
    expect(inliers).toBeCloseTo(1 - 225 / 2400, 9)
    mask!.data.forEach((value, i) => expect(value).toBe(inObject(i % 60, Math.floor(i / 60)) ? 0 : 1))
  })

  test('only sure and visible pixels count', () => {
    const [width, height] = [20, 20]
    // Three quarters of the frame go to the right, and each map leaves half of the frame: the quarter that both leave goes down.
    const flow = fieldOf(width, height, (x, y) => (x < 10 && y < 10 ? [0, 5] : [5, 0]))
    const confidence = {
      width,
      height,
      data: Float32Array.from({ length: 400 }, (_, i) => (i % 20 < 10 ? 0.5 : 0.49)),
    }
    const occlusion = { width, height, data: Uint8Array.from({ length: 400 }, (_, i) => (i < 200 ? 0 : 1)) }
    const shift = (options: object) => globalMotion(flow, { model: 'translation', ...options })!
    expect(shift({}).homography.apply(0, 0)).toEqual({ x: 5, y: 0 })
    expect(shift({ confidence, occlusion })).toMatchObject({ counted: 100, inliers: 1 })
    expect(shift({ confidence, occlusion }).homography.apply(0, 0)).toEqual({ x: 0, y: 5 })
    expect(shift({ confidence, minConfidence: 0.2 }).counted).toBe(400)
  })

  test('is null where too little is known', () => {
    expect(globalMotion(uniform(1, 1, 2, 3))).toBeNull()
    expect(globalMotion(uniform(1, 1, 2, 3), { model: 'similarity' })).toBeNull()
    expect(globalMotion(uniform(1, 1, 2, 3), { model: 'translation' })!.homography.apply(0, 0)).toEqual({
      x: 2,
      y: 3,
    })
    expect(globalMotion(uniform(40, 1, 2, 3))).toBeNull()
    expect(globalMotion(uniform(40, 1, 2, 3), { model: 'similarity' })!.error).toBeLessThan(1e-5)
    expect(globalMotion(uniform(9, 9, NaN, 0))).toBeNull()
  })

  test('whatever the flow, the motion is finite or null', () => {
    const wild = fc.oneof(
      fc.float({ noNaN: true, min: -40, max: 40 }),
      fc.constantFrom(NaN, Infinity, 9e8, -9e8, 1e30),
    )
    fc.assert(
      fc.property(
        anyFlow(wild),
        fc.constantFrom<GlobalMotionModel>('translation', 'similarity', 'homography'),
        (flow, model) => {
          const found = globalMotion(flow, { model })
          if (found === null) return
          expect(found.homography.matrix.every(Number.isFinite)).toBe(true)
          expect(found.inliers).toBeGreaterThanOrEqual(0)
          expect(found.inliers).toBeLessThanOrEqual(1)
        },
      ),
    )
  })

  test('refuses options and maps that do not fit', () => {
    const flow = uniform(4, 4, 0, 0)
    const bad = (options: object, ...parts: string[]) =>
      expect(() => globalMotion(flow, options)).toThrow(flowError('ERR_ARGUMENT', ...parts))
    bad({ model: 'affine' }, 'affine', 'similarity')
    bad({ threshold: 0 }, 'threshold')
    bad({ minConfidence: 2 }, 'minConfidence')
    bad({ occlusion: { width: 4, height: 3, data: new Uint8Array(12) } }, 'occlusion', '4 x 3')
  })
})

describe('Homography', () => {
  const turn = similarity(90, 1, [0, 0], [0, 0])
  const perspective = new Homography([2, 0.1, 6, 0, 2.2, 4, 2e-3, 0, 2])

  test('leads to the right and down, and back by its inverse', () => {
    // x to the right and y down: a positive angle turns clockwise on the screen.
    expect(turn.apply(1, 0).x).toBeCloseTo(0, 12)
    expect(turn.apply(1, 0).y).toBeCloseTo(1, 12)
    const there = perspective.apply(10, 20)
    const back = perspective.inverse().apply(there.x, there.y)
    expect(back.x).toBeCloseTo(10, 9)
    expect(back.y).toBeCloseTo(20, 9)
  })

  test('followedBy takes the one motion and then the other', () => {
    const shift = new Homography([1, 0, 5, 0, 1, 0, 0, 0, 1])
    const { x, y } = turn.followedBy(shift).apply(1, 0)
    expect([x, y]).toEqual([expect.closeTo(5, 12), expect.closeTo(1, 12)])
    const both = perspective.followedBy(perspective.inverse())
    expect(distance(both, Homography.IDENTITY, 50, 40)).toBeLessThan(1e-4)
  })

  test('is unknown behind the horizon, and its field there', () => {
    const tilted = new Homography([1, 0, 0, 0, 1, 0, -0.1, 0, 1])
    expect(tilted.apply(9, 0).x).toBeCloseTo(90, 9)
    expect(tilted.apply(11, 0)).toEqual({ x: NaN, y: NaN })
    expect(tilted.field(12, 1).x[11]).toBeNaN()
  })

  test('its field warps a picture as it says', () => {
    const data = Uint8Array.from({ length: 64 }, (_, i) => i)
    const quarter = similarity(90, 1, [3.5, 3.5], [0, 0])
    const turned = warp({ data, width: 8, height: 8 }, quarter.field(8, 8))
    // The first pixel of the row is at the top right of the picture.
    expect([turned.data[0], turned.data[7]]).toEqual([7, 63])
  })

  test('refuses what is no matrix, or has no inverse', () => {
    for (const matrix of [[1, 2], Array(9).fill(0), [1, 0, 0, 0, NaN, 0, 0, 0, 1]])
      expect(() => new Homography(matrix)).toThrow(flowError('ERR_ARGUMENT', 'nine finite numbers'))
    expect(() => new Homography([1, 0, 0, 1, 0, 0, 0, 0, 1]).inverse()).toThrow(
      flowError('ERR_ARGUMENT', 'singular'),
    )
    expect(() => turn.field(2, 2, { into: new FlowField(2, 1) })).toThrow(flowError('ERR_ARGUMENT', '2 x 2'))
  })
})
