import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FeatureMap, FlowError, FlowField, FlowModel, type FlowOptions } from '../../lib/index.js'
import { flowError, largestDifference, sameBits } from '../support/compare.js'
import { fixture, loadTiny, noiseFrame, type RgbFrame, TINY, tinyFrames } from '../support/fixtures.js'

let model: FlowModel
let a: RgbFrame
let b: RgbFrame

beforeAll(async () => {
  model = await loadTiny()
  ;[a, b] = await tinyFrames()
})
afterAll(() => model.dispose())

describe('a flow', () => {
  it('is the same to the bit, waited for or awaited, alone or from features', async () => {
    const flow = await model.flow(a, b)
    expect(sameBits(model.flowSync(a, b).data, flow.data)).toBe(true)
    const [first, second] = [await model.features(a), model.featuresSync(b)]
    expect(sameBits((await model.flowFromFeatures(first, second)).data, flow.data)).toBe(true)
    expect(sameBits(model.flowFromFeaturesSync(first, second).data, flow.data)).toBe(true)
  })

  it('backward through features is that of the swapped frames, to the bit', async () => {
    const [first, second] = await Promise.all([model.features(a), model.features(b)])
    const backward = await model.flowFromFeatures(second, first)
    expect(sameBits(backward.data, (await model.flow(b, a)).data)).toBe(true)
    expect(sameBits(backward.data, (await model.flow(a, b)).data)).toBe(false)
  })

  it('to the next frame of a stream is the same to the bit, and so are its features', async () => {
    const [forward, backward] = [await model.flow(a, b), await model.flow(b, a)]
    const first = await model.features(a)
    const second = await model.advance(first, b)
    expect(sameBits(second.flow.data, forward.data)).toBe(true)
    const into = new FlowField(160, 112)
    const third = model.advanceSync(second.features, a, { into })
    expect(third.flow).toBe(into)
    expect(sameBits(into.data, backward.data)).toBe(true)
    expect(sameBits(await third.features.read(), await first.read())).toBe(true)
    const { gridHeight, gridWidth, frameHeight, frameWidth } = second.features
    expect([gridHeight, gridWidth, frameHeight, frameWidth]).toEqual([7, 10, 112, 160])
    for (const map of [first, second.features, third.features]) map.dispose()
    await expect(model.advance(first, b)).rejects.toThrow(flowError('ERR_DISPOSED', 'feature map'))
    expect(() => model.advanceSync(first, b)).toThrow(flowError('ERR_DISPOSED', 'feature map'))
  })

  it('to a next frame of another size is in pixels of the frame before', async () => {
    const small = noiseFrame(50, 30, 1)
    const before = await model.features(small, { size: [48, 64] })
    const { flow, features } = await model.advance(before, noiseFrame(70, 90, 2))
    expect([flow.width, flow.height]).toEqual([50, 30])
    expect([features.frameWidth, features.frameHeight]).toEqual([70, 90])
    expect(sameBits(flow.data, (await model.flowFromFeatures(before, features)).data)).toBe(true)
  })

  it('is written into the field that is given, and nowhere else', async () => {
    const expected = await model.flow(a, b)
    const into = new FlowField(160, 112)
    const data = into.data
    expect(await model.flow(a, b, { into })).toBe(into)
    expect(into.data).toBe(data)
    expect(sameBits(data, expected.data)).toBe(true)
    into.data.fill(0)
    expect(model.flowSync(a, b, { into })).toBe(into)
    expect(sameBits(data, expected.data)).toBe(true)
  })

  it('comes at the size of the first frame, of the network, or any', async () => {
    const [small, large] = [noiseFrame(50, 30, 1), noiseFrame(70, 90, 2)]
    const size = [64, 48] as const
    const sizeOf = async (options: FlowOptions) => {
      const { width, height } = await model.flow(small, large, { size, ...options })
      return [width, height]
    }
    expect(await sizeOf({})).toEqual([50, 30])
    expect(await sizeOf({ output: 'frame' })).toEqual([50, 30])
    expect(await sizeOf({ output: 'model' })).toEqual([48, 64])
    expect(await sizeOf({ output: [7, 5] })).toEqual([5, 7])
  })

  it('is in pixels of the output', async () => {
    const one = await model.flow(a, b, { output: 'model' })
    const double = await model.flow(a, b, { output: [224, 160] })
    const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length
    expect(mean(double.x)).toBeCloseTo(mean(one.x), 2)
    expect(mean(double.y)).toBeCloseTo(2 * mean(one.y), 2)
  })

  it('is computed at the size of the call, else at that of the model, else at 640 x 640', async () => {
    const seed = await FlowModel.load({ ...TINY, size: undefined })
    const fixed = await loadTiny({ size: [32, 48] })
    const frame = noiseFrame(100, 50, 3)
    const gridOf = async (of: FlowModel, options: FlowOptions) => {
      using map = await of.features(frame, options)
      return [map.gridHeight, map.gridWidth, map.frameHeight, map.frameWidth]
    }
    expect(await gridOf(seed, {})).toEqual([40, 40, 50, 100])
    expect(await gridOf(fixed, {})).toEqual([2, 3, 50, 100])
    expect(await gridOf(fixed, { size: 'native' })).toEqual([3, 6, 50, 100])
    expect(await gridOf(fixed, { size: [16, 16] })).toEqual([1, 1, 50, 100])
    await Promise.all([seed.dispose(), fixed.dispose()])
  })

  it('of a frame smaller than a patch is computed on one patch', async () => {
    const flow = await model.flow(noiseFrame(3, 2, 1), noiseFrame(1, 1, 2))
    expect([flow.width, flow.height]).toEqual([3, 2])
    expect(flow.data.every(Number.isFinite)).toBe(true)
  })

  it('does not depend on the sizes computed before it', async () => {
    const expected = await model.flow(a, b)
    for (const side of [16, 48, 32, 80, 64])
      await model.flow(noiseFrame(side, side, 1), noiseFrame(side, side, 2))
    expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
  })
})

describe('a feature map', () => {
  it('reads as one vector per patch, the same every time', async () => {
    using map = await model.features(a)
    expect([map.gridHeight, map.gridWidth, map.dim]).toEqual([7, 10, 64])
    const values = await map.read()
    expect(values).toHaveLength(7 * 10 * 64)
    expect(sameBits(await map.read(), values)).toBe(true)
    expect(sameBits(map.readSync(), values)).toBe(true)
    using other = await model.features(b)
    expect(largestDifference(await other.read(), values)).toBeGreaterThan(0.1)
  })

  it('is read into the array that is given, and nowhere else', async () => {
    using map = await model.features(a)
    const expected = map.readSync()
    const into = new Float32Array(7 * 10 * 64)
    expect(await map.read({ into })).toBe(into)
    expect(sameBits(into, expected)).toBe(true)
    into.fill(0)
    expect(map.readSync({ into })).toBe(into)
    expect(sameBits(into, expected)).toBe(true)
  })

  it.each<[string, object, string[]]>([
    ['into of another length', { into: new Float32Array(5) }, ['into', '5 values', '4480']],
    ['into of another class', { into: new Float64Array(4480) }, ['into', 'Float32Array']],
    ['signal', { signal: {} }, ['signal', 'AbortSignal']],
  ])('refuses an option that cannot be used: %s', async (_, options, parts) => {
    using map = await model.features(a)
    await expect(map.read(options)).rejects.toThrow(flowError('ERR_ARGUMENT', ...parts))
    expect(() => map.readSync(options)).toThrow(flowError('ERR_ARGUMENT', ...parts))
  })

  it('keeps its values while others come and go', async () => {
    using map = await model.features(a)
    const values = await map.read()
    for (let i = 0; i < 12; i++) (await model.features(b)).dispose()
    await model.flow(b, b)
    expect(sameBits(await map.read(), values)).toBe(true)
  })

  it('may be disposed as soon as a call with it was made', async () => {
    const [first, second] = [model.featuresSync(a), model.featuresSync(b)]
    const expected = second.readSync()
    const flow = model.flowFromFeatures(first, second)
    const values = second.read()
    first.dispose()
    second.dispose()
    expect(sameBits(await values, expected)).toBe(true)
    expect(sameBits((await flow).data, (await model.flow(a, b)).data)).toBe(true)
  })

  it('cannot be used after it was disposed, once or twice', async () => {
    const map = await model.features(a)
    expect(map.disposed).toBe(false)
    map.dispose()
    map.dispose()
    expect(map.disposed).toBe(true)
    await expect(map.read()).rejects.toThrow(flowError('ERR_DISPOSED', 'feature map'))
    expect(() => map.readSync()).toThrow(flowError('ERR_DISPOSED', 'feature map'))
    await expect(model.flowFromFeatures(map, map)).rejects.toThrow(flowError('ERR_DISPOSED', 'feature map'))
  })

  it('cannot be used with another model, another size, or instead of what it is not', async () => {
    const other = await loadTiny()
    using map = await model.features(a)
    using small = await model.features(a, { size: [16, 16] })
    await expect(other.flowFromFeatures(map, map)).rejects.toThrow(flowError('ERR_ARGUMENT', 'another model'))
    expect(() => model.flowFromFeaturesSync(map, small)).toThrow(flowError('ERR_ARGUMENT', '10 x 7', '1 x 1'))
    const fake = Object.create(Object.getPrototypeOf(map)) as FeatureMap
    for (const wrong of [undefined, 5, a, fake])
      expect(() => model.flowFromFeaturesSync(map, wrong as FeatureMap)).toThrow()
    await other.dispose()
  })

  it('ends with its model', async () => {
    const other = await loadTiny()
    const map = await other.features(a)
    await other.dispose()
    await expect(map.read()).rejects.toThrow(flowError('ERR_DISPOSED', 'model'))
    expect(() => map.readSync()).toThrow(flowError('ERR_DISPOSED', 'model'))
    map.dispose()
  })
})

describe('an option that cannot be used is refused with its code', () => {
  it.each<[string, object, string[]]>([
    ['size', { size: 'large' }, ['size', "'seed'", '"large"']],
    ['size of no multiple of a patch', { size: [100, 120] }, ['multiple', '16', '[96, 128]']],
    ['size of 0', { size: [0, 16] }, ['size', '1 to']],
    ['size of three numbers', { size: [16, 16, 16] }, ['size']],
    ['size that is too large', { size: [16_000, 16_000] }, ['patches', '65536']],
    ['output', { output: 'big' }, ['output', "'model'"]],
    ['output of a fraction', { output: [1.5, 2] }, ['output', '1.5']],
    ['output that is too large', { output: [60_000, 60_000] }, ['output', 'smaller']],
    ['into of another size', { into: new FlowField(3, 3) }, ['into', '3 x 3', '160 x 112']],
    ['into of another class', { into: new Float32Array(3) }, ['into', 'FlowField']],
    ['signal', { signal: {} }, ['signal', 'AbortSignal']],
  ])('%s', async (_, options, parts) => {
    await expect(model.flow(a, b, options)).rejects.toThrow(flowError('ERR_ARGUMENT', ...parts))
  })

  it.each<[string, object, string, string[]]>([
    ['device', { device: 'tpu' }, 'ERR_ARGUMENT', ['device', 'tpu', 'cpu']],
    ['device null', { device: null }, 'ERR_ARGUMENT', ['device', 'null']],
    ['device cuda', { device: 'cuda' }, 'ERR_DEVICE', ['CUDA']],
    ['device cuda:0', { device: 'cuda:0' }, 'ERR_DEVICE', ['CUDA']],
    ['device cuda:12', { device: 'cuda:12' }, 'ERR_DEVICE', ['CUDA']],
    ['device cuda:', { device: 'cuda:' }, 'ERR_ARGUMENT', ['cuda:N', '"cuda:"']],
    ['device cuda:-1', { device: 'cuda:-1' }, 'ERR_ARGUMENT', ['cuda:N', '"cuda:-1"']],
    ['device cuda:1.5', { device: 'cuda:1.5' }, 'ERR_ARGUMENT', ['cuda:N', '"cuda:1.5"']],
    ['device cuda:01', { device: 'cuda:01' }, 'ERR_ARGUMENT', ['cuda:N', '"cuda:01"']],
    ['device cuda:all', { device: 'cuda:all' }, 'ERR_ARGUMENT', ['cuda:N', '"cuda:all"']],
    ['precision', { precision: 'fp8' }, 'ERR_ARGUMENT', ['precision', 'fp32']],
    ['wait', { wait: 'sleep' }, 'ERR_ARGUMENT', ['wait', 'spin', '"sleep"']],
    ['a wait of no kind', { wait: true }, 'ERR_ARGUMENT', ['wait', 'block']],
    ['threads of 0', { threads: 0 }, 'ERR_ARGUMENT', ['threads', '1 to 256']],
    ['threads of 257', { threads: 257 }, 'ERR_ARGUMENT', ['threads']],
    ['threads of half', { threads: 0.5 }, 'ERR_ARGUMENT', ['threads']],
    ['size', { size: [100, 100] }, 'ERR_ARGUMENT', ['multiple']],
    ['size of no kind', { size: 'huge' }, 'ERR_ARGUMENT', ['huge']],
    ['a head alone', { backbone: undefined }, 'ERR_ARGUMENT', ['backbone: is missing beside head']],
    ['a backbone alone', { head: undefined }, 'ERR_ARGUMENT', ['head: is missing beside backbone']],
    ['backbone', { backbone: 7 }, 'ERR_ARGUMENT', ['backbone', 'path']],
    ['backbone null', { backbone: null }, 'ERR_ARGUMENT', ['backbone', 'path', 'null']],
    ['path in backbone', { backbone: { path: 7 } }, 'ERR_ARGUMENT', ['backbone.path', 'path', '7']],
    [
      'prefix of head',
      { head: { path: TINY.head, prefix: 7 } },
      'ERR_ARGUMENT',
      ['head.prefix', 'string', '7'],
    ],
    ['ropePeriods', { ropePeriods: 'fp16' }, 'ERR_ARGUMENT', ['ropePeriods', 'bfloat16', '"fp16"']],
    ['head', { head: '' }, 'ERR_ARGUMENT', ['head', 'path']],
    ['backboneConfig', { backboneConfig: 5 }, 'ERR_ARGUMENT', ['backboneConfig']],
    ['onProgress', { onProgress: true }, 'ERR_ARGUMENT', ['onProgress']],
    ['signal', { signal: 'stop' }, 'ERR_ARGUMENT', ['signal']],
  ])('load: %s', async (_, options, code, parts) => {
    await expect(FlowModel.load({ ...TINY, ...options })).rejects.toThrow(
      flowError(code as FlowError['code'], ...parts),
    )
  })

  it('load: options that are none', async () => {
    const load = FlowModel.load as (options?: unknown) => Promise<FlowModel>
    await expect(load(null)).rejects.toThrow(flowError('ERR_ARGUMENT', 'backbone'))
  })

  it('and a native error carries the stack of the caller', async () => {
    const other = await loadTiny()
    // The addon learns of this call when the picture is decoded, and so refuses it.
    const callFlow = () => other.flow(fixture('tiny/frame1.png'), b)
    const refused = callFlow().catch((error: unknown) => error)
    other.disposeSync()
    const error = await refused
    expect(error).toBeInstanceOf(FlowError)
    expect((error as FlowError).stack).toMatch(/^FlowError: the model was disposed\n\s+at callFlow/)
  })
})
