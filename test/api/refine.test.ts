import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FlowField, FlowModel, type FlowResult, PIXEL_FORMATS, type Refine } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import { callSite } from '../../lib/native/failure.js'
import { checkRefine } from '../../lib/refine.js'
import { checkFrame } from '../../lib/frame.js'
import { flowError, sameBits } from '../support/compare.js'
import { fixture, loadTiny, noiseFrame, type RgbFrame, TINY, tinyFrames } from '../support/fixtures.js'
import { expectMapsOf, expectRefinedMapsOf, withFlow } from '../support/streams.js'

const PRESETS = ['fast', 'default', 'best'] as const

let model: FlowModel
let a: RgbFrame
let b: RgbFrame

beforeAll(async () => {
  model = await loadTiny()
  ;[a, b] = await tinyFrames()
})
afterAll(() => model.dispose())

/** A part of a photograph. */
async function cut(left: number, top: number, width: number, height: number): Promise<RgbFrame> {
  const picture = sharp(fixture('seed/frame1_640.png')).extract({ left, top, width, height })
  return { data: await picture.removeAlpha().raw().toBuffer(), width, height }
}

/** A frame at another size: bilinear between the centres of pixels. */
function resized({ data, width, height }: RgbFrame, toWidth: number, toHeight: number): RgbFrame {
  const out = new Uint8Array(3 * toWidth * toHeight)
  const place = (i: number, from: number, to: number) => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1)
    return [Math.floor(at), Math.min(Math.floor(at) + 1, from - 1), at - Math.floor(at)] as const
  }
  for (let y = 0; y < toHeight; y++)
    for (let x = 0; x < toWidth; x++) {
      const [top, bottom, down] = place(y, height, toHeight)
      const [left, right, across] = place(x, width, toWidth)
      for (let c = 0; c < 3; c++) {
        const at = (row: number, column: number) => data[3 * (row * width + column) + c]!
        const above = at(top, left) * (1 - across) + at(top, right) * across
        const below = at(bottom, left) * (1 - across) + at(bottom, right) * across
        out[3 * (y * toWidth + x) + c] = Math.round(above * (1 - down) + below * down)
      }
    }
  return { data: out, width: toWidth, height: toHeight }
}

/** Mean distance of a flow from a motion, in pixels, away from the frame's edge. */
function errorOf(
  { x, y, width, height }: FlowField,
  [u, v]: readonly [number, number],
  edge: number,
): number {
  let sum = 0
  for (let row = edge; row < height - edge; row++)
    for (let column = edge; column < width - edge; column++)
      sum += Math.hypot(x[row * width + column]! - u, y[row * width + column]! - v)
  return sum / ((width - 2 * edge) * (height - 2 * edge))
}

describe('a refined flow', () => {
  it.each([
    ['fast', 0.12],
    ['default', 0.06],
    ['best', 0.06],
    [{ smoothness: 3 }, 0.06],
  ] as const)(
    'follows a photograph that was moved, also with a model that knows nothing: %j, to %f px',
    async (refine, bar) => {
      const [first, second] = [await cut(180, 180, 256, 192), await cut(169, 186, 256, 192)]
      expect(errorOf(await model.flow(first, second, { refine }), [11, -6], 24)).toBeLessThan(bar)
      expect(errorOf(await model.flow(first, second), [11, -6], 24)).toBeGreaterThan(1)
    },
  )

  it.each(PRESETS)('of identical frames is exactly zero: %s', async (refine) => {
    const { data } = await model.flow(a, { ...a, data: a.data.slice() }, { refine })
    expect(data.every((value) => value === 0)).toBe(true)
  })

  it.each(PRESETS)('is the same in every call: %s', async (refine) => {
    const expected = await model.flow(a, b, { refine })
    expect(sameBits(expected.data, (await model.flow(a, b)).data)).toBe(false)
    expect(sameBits(model.flowSync(a, b, { refine }).data, expected.data)).toBe(true)
    using first = await model.features(a, { refine })
    using second = await model.features(b, { refine })
    const ofMaps = await model.flowFromFeatures(first, second, { refine })
    expect(sameBits(ofMaps.data, expected.data)).toBe(true)
    const { flow, features } = await model.advance(first, b, { refine })
    expect(sameBits(flow.data, expected.data)).toBe(true)
    const fromAdvanced = await model.flowFromFeatures(features, first, { refine })
    expect(sameBits(fromAdvanced.data, (await model.flow(b, a, { refine })).data)).toBe(true)
    features.dispose()
    const picture = await model.flowPicture(a, b, { refine })
    const ofFeatures = await model.flowPictureFromFeatures(first, second, { refine })
    expect(ofFeatures.data).toEqual(picture.data)
    expect(picture.data).not.toEqual((await model.flowPicture(a, b)).data)
  })

  it('is what a stream gives, in both directions', async () => {
    await using refined = await loadTiny({ refine: 'default' })
    const stream = refined.stream({ backward: true, occlusion: true, confidence: true })
    const frames = [a, b, noiseFrame(160, 112, 3), a]
    await stream.push(a)
    for (const [i, frame] of frames.slice(1).entries())
      await expectRefinedMapsOf(refined, withFlow(await stream.push(frame)), frames[i]!, frame)
    const plain = refined.stream({ refine: 'off' })
    await plain.push(a)
    expect(sameBits(withFlow(await plain.push(b)).flow.data, (await model.flow(a, b)).data)).toBe(true)
  })

  it('is refined at the size of the output', async () => {
    const [first, second] = [await cut(180, 180, 256, 192), await cut(169, 186, 256, 192)]
    const half = await model.flow(first, second, { refine: 'default', output: [96, 128] })
    expect(errorOf(half, [5.5, -3], 12)).toBeLessThan(0.06)
    const own = await model.flow(first, second, { refine: 'default', output: 'model', size: [64, 64] })
    expect([own.width, own.height]).toEqual([64, 64])
    expect(errorOf(own, [11 / 4, -6 / 3], 8)).toBeLessThan(0.08)
    using kept = await model.features(first, { refine: 'default', output: [96, 128] })
    const { flow, features } = await model.advance(kept, second, { refine: 'default', output: [96, 128] })
    expect(features.pixels).toEqual({ height: 96, width: 128 })
    expect(sameBits(flow.data, half.data)).toBe(true)
    // At another size than the pixels that were kept, it is resized.
    const large = await model.flowFromFeatures(kept, features, { refine: 'default' })
    expect(errorOf(large, [11, -6], 24)).toBeLessThan(0.12)
    features.dispose()
  })

  it('of frames of different sizes is in pixels of the first', async () => {
    const first = await cut(180, 180, 256, 192)
    for (const [width, height] of [
      [384, 288],
      [512, 384],
      [300, 192],
    ] as const) {
      const second = resized(await cut(169, 186, 256, 192), width, height)
      const flow = await model.flow(first, second, { refine: 'default' })
      expect([flow.width, flow.height]).toEqual([256, 192])
      expect(errorOf(flow, [11, -6], 24), `${width} x ${height}`).toBeLessThan(0.1)
    }
  })

  it('is finite for frames of any size and format', async () => {
    for (const [width, height] of [
      [1, 1],
      [1, 40],
      [40, 1],
      [7, 9],
      [8, 8],
      [17, 64],
      [33, 31],
      [200, 12],
    ] as const)
      for (const refine of PRESETS) {
        const flow = await model.flow(noiseFrame(width, height, 1), noiseFrame(width, height, 2), {
          refine,
          size: [32, 32],
        })
        expect(flow.data.every(Number.isFinite), `${width} x ${height}, ${refine}`).toBe(true)
      }
    for (const format of PIXEL_FORMATS) {
      const frame = (value: number) => {
        const made = model.createFrame({ width: 47, height: 31, format })
        made.data.set(noiseFrame(made.data.length, 1, value).data.subarray(0, made.data.length))
        return made
      }
      const flow = await model.flow(frame(1), frame(2), { refine: 'default', size: [32, 32] })
      expect(flow.data.every(Number.isFinite), format).toBe(true)
    }
    for (const value of [0, 255]) {
      const plain = { data: new Uint8Array(3 * 64 * 48).fill(value), width: 64, height: 48 }
      const flow = await model.flow(plain, plain, { refine: 'best', size: [32, 32] })
      expect(flow.data.every((v) => v === 0)).toBe(true)
    }
  })
})

/** Mean of a map of the frame's size, in pixels, away from the frame's edge. */
function meanOf({ data, width, height }: { data: Float32Array; width: number; height: number }, edge = 0) {
  let sum = 0
  for (let row = edge; row < height - edge; row++)
    for (let column = edge; column < width - edge; column++) sum += data[row * width + column]!
  return sum / ((width - 2 * edge) * (height - 2 * edge))
}

describe('the confidence of a refined flow', () => {
  const confidenceOf = async (from: RgbFrame, to: RgbFrame, options = {}) =>
    (await model.flowMaps(from, to, { confidence: true, refine: 'default', ...options })).confidence!

  it.each(PRESETS)(
    'is high where a photograph was moved, low between two photographs: %s',
    async (refine) => {
      const [first, second] = [await cut(180, 180, 256, 192), await cut(169, 186, 256, 192)]
      const [one, another] = [await cut(0, 0, 256, 192), await cut(380, 440, 256, 192)]
      for (const options of [{ refine }, { refine, backward: true }]) {
        const moved = await confidenceOf(first, second, options)
        expect([moved.width, moved.height]).toEqual([256, 192])
        expect(meanOf(moved, 24)).toBeGreaterThan(0.9)
        const unlike = await confidenceOf(one, another, options)
        expect(meanOf(unlike)).toBeLessThan(0.5)
        for (const { data } of [moved, unlike])
          expect(data.every((value) => value >= 0 && value <= 1)).toBe(true)
      }
    },
  )

  it('is low for noise, with a flow back', async () => {
    const confidence = await confidenceOf(noiseFrame(256, 192, 1), noiseFrame(256, 192, 2), {
      backward: true,
    })
    expect(meanOf(confidence)).toBeLessThan(0.5)
  })

  it('is low for noise, without a flow back', async () => {
    expect(meanOf(await confidenceOf(noiseFrame(256, 192, 1), noiseFrame(256, 192, 2)))).toBeLessThan(0.5)
  })

  it('is high for identical frames', async () => {
    const photograph = await cut(180, 180, 256, 192)
    expect(meanOf(await confidenceOf(photograph, photograph))).toBeGreaterThan(0.9)
    expect(meanOf(await confidenceOf(photograph, photograph, { backward: true }))).toBeGreaterThan(0.9)
  })

  it('is lower for a part that was moved out of the frame', async () => {
    const [first, second] = [await cut(180, 180, 256, 192), await cut(244, 180, 256, 192)]
    const { data, width, height } = await confidenceOf(first, second)
    const columns = (from: number, to: number) => {
      const part = Array.from({ length: height }, (_, y) => data.slice(y * width + from, y * width + to))
      return meanOf({ data: Float32Array.from(part.flatMap((row) => [...row])), width: to - from, height })
    }
    const seen = columns(80, 240)
    expect(seen).toBeGreaterThan(0.9)
    expect(columns(0, 56)).toBeLessThan(seen - 0.3) // what moved by 64 px to the left is gone
  })

  it('comes at any size', async () => {
    const [first, second] = [await cut(180, 180, 256, 192), await cut(169, 186, 256, 192)]
    const full = await confidenceOf(first, second)
    for (const output of [[96, 128], [97, 131], [300, 400], 'model'] as const) {
      const other = await confidenceOf(first, second, { output })
      expect(other.data.length).toBe(other.width * other.height)
      expect(Math.abs(meanOf(other) - meanOf(full)), `${output}`).toBeLessThan(0.1)
    }
    // Features that keep pixels of one size give confidence of another: the same, resized.
    using from = await model.features(first, { refine: 'default' })
    using to = await model.features(second, { refine: 'default' })
    const maps = async (output?: [number, number]) =>
      (await model.flowMapsFromFeatures(from, to, { confidence: true, refine: 'default', output }))
        .confidence!
    expect(sameBits((await maps()).data, full.data)).toBe(true)
    const half = await maps([96, 128])
    expect([half.width, half.height]).toEqual([128, 96])
    half.data.forEach((value, i) => {
      const [x, y] = [2 * (i % 128), 2 * Math.floor(i / 128)]
      const around = [0, 1, 256, 257].map((step) => full.data[y * 256 + x + step]!)
      expect(value).toBeGreaterThan(Math.min(...around) - 0.25)
      expect(value).toBeLessThan(Math.max(...around) + 0.25)
    })
  })

  it('takes no flow back, unless that is asked for', async () => {
    const { native } = await loadModel(TINY, callSite(loadModel))
    const made = (planes: number) => new Float32Array(planes * 112 * 160)
    const measure = (backward?: Float32Array) => {
      const [from, to] = [a, b].map((frame) => checkFrame(frame, 'frame'))
      const { trace } = native.run({
        from: from!,
        to: to!,
        gridHeight: 7,
        gridWidth: 10,
        height: 112,
        width: 160,
        refine: checkRefine('default'),
        flow: made(2),
        confidence: made(1),
        backward,
        trace: true,
      })
      const { values, rows } = trace!.find(({ name }) => name === 'head.measures')!
      expect([values.length, rows]).toEqual([8 * 56 * 80, 8 * 56])
      return values
    }
    const [alone, both] = [measure(), measure(made(2))]
    native.disposeSync()
    const last = 7 * 56 * 80 // by how much a pixel misses its place on the way back
    expect(alone.subarray(last).every((value) => value === 0)).toBe(true)
    expect(both.subarray(last).some((value) => value > 0.01)).toBe(true)
    expect(sameBits(alone.subarray(0, last), both.subarray(0, last))).toBe(true)
  })

  it('is that of the round trip for frames that are too small to refine, and always finite', async () => {
    await using small = await loadTiny({ refine: 'default', size: [32, 32] })
    const all = { backward: true, occlusion: true, confidence: true }
    for (const [width, height] of [
      [15, 40],
      [40, 15],
      [9, 9],
      [1, 1],
    ] as const) {
      const [first, second] = [noiseFrame(width, height, 1), noiseFrame(width, height, 2)]
      await expectMapsOf(small, (await small.flowMaps(first, second, all)) as FlowResult, first, second)
    }
    for (const [width, height] of [
      [16, 16],
      [17, 64],
      [33, 31],
    ] as const) {
      const [first, second] = [noiseFrame(width, height, 1), noiseFrame(width, height, 2)]
      const { confidence } = await small.flowMaps(first, second, { confidence: true })
      expect(
        confidence!.data.every((value) => value >= 0 && value <= 1),
        `${width} x ${height}`,
      ).toBe(true)
    }
  })
})

describe('refine', () => {
  it("is off for a model from files, on for the package's, and one option away for each", async () => {
    await using own = await FlowModel.load({ device: 'cpu' })
    await using off = await FlowModel.load({ device: 'cpu', refine: 'off' })
    await using fast = await FlowModel.load({ device: 'cpu', preset: 'fast' })
    await using best = await FlowModel.load({ device: 'cpu', preset: 'best', size: 'half' })
    const of = async (of: FlowModel, options = {}) => (await of.flow(a, b, options)).data
    expect(sameBits(await of(fast), await of(own, { size: 'half', refine: 'fast' }))).toBe(true)
    expect(sameBits(await of(best), await of(own, { refine: 'best' }))).toBe(true)
    expect(sameBits(await of(best, { size: 'fit' }), await of(own, { size: 'fit', refine: 'best' }))).toBe(
      true,
    )
    await expect(FlowModel.load({ preset: 'slow' as 'fast' })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'preset: must be one of fast, balanced, best, not "slow"'),
    )
    await expect(loadTiny({ preset: 'fast' })).rejects.toThrow(
      flowError('ERR_ARGUMENT', "preset: is for the package's model"),
    )
    const [refined, network] = [await own.flow(a, b), await off.flow(a, b)]
    expect(sameBits((await own.flow(a, b, { refine: 'default' })).data, refined.data)).toBe(true)
    expect(sameBits((await own.flow(a, b, { refine: {} })).data, refined.data)).toBe(true)
    expect(sameBits((await own.flow(a, b, { refine: 'off' })).data, network.data)).toBe(true)
    expect(sameBits(refined.data, network.data)).toBe(false)
    const files = await model.flow(a, b)
    expect(sameBits((await model.flow(a, b, { refine: 'off' })).data, files.data)).toBe(true)
  })

  it('keeps pixels with features only where it is on, at the size of the output', async () => {
    using none = await model.features(a)
    expect(none.pixels).toBeNull()
    using kept = await model.features(a, { refine: 'fast' })
    expect(kept.pixels).toEqual({ height: 112, width: 160 })
    using half = await model.features(a, { refine: 'fast', output: [56, 80] })
    expect(half.pixels).toEqual({ height: 56, width: 80 })
  })

  it.each<[unknown, string]>([
    ['very', "refine: must be one of 'off', 'fast', 'default', 'best', not \"very\""],
    [true, "refine: must be 'off', 'fast', 'default', 'best' or { preset, smoothness }, not true"],
    [null, 'not null'],
    [{ preset: 'off' }, "refine.preset: must be one of 'fast', 'default', 'best', not \"off\""],
    [{ smoothness: 0 }, 'refine.smoothness: must be a number from 0.01 to 100, not 0'],
    [{ smoothness: Number.NaN }, 'not NaN'],
  ])('%j is an error that says what it may be, and the model works afterwards', async (refine, message) => {
    const options = { refine: refine as Refine }
    await expect(model.flow(a, b, options)).rejects.toThrow(flowError('ERR_ARGUMENT', message))
    await expect(model.features(a, options)).rejects.toThrow(flowError('ERR_ARGUMENT', message))
    expect(() => model.stream(options)).toThrow(flowError('ERR_ARGUMENT', message))
    if (refine !== null) await expect(loadTiny(options)).rejects.toThrow(flowError('ERR_ARGUMENT', message))
    expect((await model.flow(a, b, { refine: 'fast' })).data.every(Number.isFinite)).toBe(true)
  })

  it('needs maps that keep pixels of one size, and says so', async () => {
    using none = await model.features(a)
    using kept = await model.features(b, { refine: 'default' })
    using half = await model.features(b, { refine: 'default', output: [56, 80] })
    const refine = 'default'
    await expect(model.flowFromFeatures(none, kept, { refine })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'first feature map: keeps no pixels'),
    )
    await expect(model.flowFromFeatures(kept, none, { refine })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'second feature map: keeps no pixels'),
    )
    await expect(model.advance(none, b, { refine })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'feature map: keeps no pixels'),
    )
    await expect(model.flowFromFeatures(kept, half, { refine })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'pixels of 160 x 112 and 80 x 56', 'same output'),
    )
    expect((await model.flowFromFeatures(kept, half)).width).toBe(160)
  })
})
