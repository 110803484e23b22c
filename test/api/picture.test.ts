import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FeatureMap, flowToColor, type FlowModel, type FlowOutput, FlowError } from '../../lib/index.js'
import { flowError } from '../support/compare.js'
import { figure } from '../support/figures.js'
import { fixture, loadTiny, noiseFrame, type RgbFrame, tinyFrames } from '../support/fixtures.js'
import { pictureDifference } from '../support/pictures.js'

let model: FlowModel
let a: RgbFrame
let b: RgbFrame

beforeAll(async () => {
  model = await loadTiny()
  ;[a, b] = await tinyFrames()
})
afterAll(() => model.dispose())

describe('a picture', () => {
  it('is what flowToColor draws of the flow, with every option, at every size', async () => {
    const { worst, share } = await pictureDifference(model, a, b)
    figure('tiny: picture, worst (levels)', worst, 1)
    figure('tiny: picture, bytes that differ', share, 1e-4)
  })

  it('is the same bytes from features as from frames, in both directions', async () => {
    using first = await model.features(a)
    using second = await model.features(b)
    const options = { output: [90, 131], clipMin: 0.1 } as const
    const forward = await model.flowPicture(a, b, options)
    const backward = await model.flowPicture(b, a, options)
    expect(await model.flowPictureFromFeatures(first, second, options)).toEqual(forward)
    expect(await model.flowPictureFromFeatures(second, first, options)).toEqual(backward)
    expect(backward.data).not.toEqual(forward.data)
  })

  it('comes at the size of the first frame, of the network, or any', async () => {
    const [small, large] = [noiseFrame(50, 30, 1), noiseFrame(70, 90, 2)]
    const sizeOf = async (output?: FlowOutput) => {
      const { width, height, data } = await model.flowPicture(small, large, { size: [64, 48], output })
      expect(data).toBeInstanceOf(Uint8Array)
      expect(data).toHaveLength(3 * width * height)
      return [width, height]
    }
    expect(await sizeOf()).toEqual([50, 30])
    expect(await sizeOf('frame')).toEqual([50, 30])
    expect(await sizeOf('model')).toEqual([48, 64])
    expect(await sizeOf([7, 5])).toEqual([5, 7])
  })

  it('is the same from a synchronous call', async () => {
    const picture = await model.flowPicture(a, b, { scale: 9 })
    expect(model.flowPictureSync(a, b, { scale: 9 })).toEqual(picture)
    using first = await model.features(a)
    using second = await model.features(b)
    expect(model.flowPictureFromFeaturesSync(first, second, { scale: 9 })).toEqual(picture)
  })

  it('is drawn of paths as of pixels', async () => {
    const paths = [fixture('tiny/frame1.png'), fixture('tiny/frame2.png')] as const
    expect(await model.flowPicture(...paths)).toEqual(await model.flowPicture(a, b))
  })

  it('and flows do not disturb each other, whatever their sizes', async () => {
    const outputs = [[40, 50], 'frame', [200, 100], [40, 50], 'model'] satisfies FlowOutput[]
    const expected = outputs.map((output) => flowToColor(model.flowSync(a, b, { output })))
    for (let round = 0; round < 3; round++) {
      const calls = outputs.map((output) => [
        model.flow(b, a, { output }),
        model.flowPicture(a, b, { output }),
      ])
      const pictures = await Promise.all(calls.map(([, picture]) => picture))
      pictures.forEach((picture, i) => expect(picture).toEqual(expected[i]))
    }
  })

  it('does not depend on the number of threads', async () => {
    const models = await Promise.all([1, 3].map((threads) => loadTiny({ threads })))
    const [one, three] = await Promise.all(models.map((each) => each.flowPicture(a, b, { output: [77, 91] })))
    expect(three).toEqual(one)
    await Promise.all(models.map((each) => each.dispose()))
  })
})

describe('a picture that cannot be drawn is refused with a code, and the model goes on', () => {
  it.each<[string, object, string[]]>([
    ['scale of 0', { scale: 0 }, ['scale', 'above 0', '0']],
    ['scale of text', { scale: '5' }, ['scale', 'above 0']],
    ['scale null', { scale: null }, ['scale', 'null']],
    ['clipMax below 0', { clipMax: -1 }, ['clipMax', '-1']],
    ['clipMin of no number', { clipMin: NaN }, ['clipMin', 'NaN']],
    ['output', { output: 'big' }, ['output', "'model'"]],
    ['output that is too large', { output: [60_000, 60_000] }, ['output', 'smaller']],
    ['signal', { signal: {} }, ['signal', 'AbortSignal']],
    ['no options', null as unknown as object, ['options']],
  ])('%s', async (_, options, parts) => {
    using map = await model.features(a)
    const expected = flowToColor(model.flowSync(a, b))
    const refusal = flowError('ERR_ARGUMENT', ...parts)
    await expect(model.flowPicture(a, b, options)).rejects.toThrow(refusal)
    await expect(model.flowPictureFromFeatures(map, map, options)).rejects.toThrow(refusal)
    expect(await model.flowPicture(a, b)).toEqual(expected)
  })

  it('size', async () => {
    await expect(model.flowPicture(a, b, { size: [100, 120] })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'multiple', '16'),
    )
  })

  it('frames, paths and feature maps', async () => {
    const short = { ...a, data: a.data.subarray(1) }
    await expect(model.flowPicture(short, b)).rejects.toThrow(flowError('ERR_FRAME', 'first frame'))
    await expect(model.flowPicture(a, '/nowhere.png')).rejects.toThrow(flowError('ERR_IO', '/nowhere.png'))
    using map = await model.features(a)
    using small = await model.features(a, { size: [16, 16] })
    const draw = (first: FeatureMap, second: FeatureMap) => model.flowPictureFromFeatures(first, second)
    await expect(draw(map, small)).rejects.toThrow(flowError('ERR_ARGUMENT', '10 x 7', '1 x 1'))
    await expect(draw(map, a as unknown as FeatureMap)).rejects.toThrow(FlowError)
    await using other = await loadTiny()
    await expect(other.flowPictureFromFeatures(map, map)).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'another model'),
    )
    map.dispose()
    await expect(draw(map, map)).rejects.toThrow(flowError('ERR_DISPOSED', 'feature map'))
  })
})

describe('a call for a picture', () => {
  it('is cancelled while it waits', async () => {
    using map = await model.features(a)
    const controller = new AbortController()
    const { signal } = controller
    const large = noiseFrame(640, 640, 1)
    const ahead = model.flow(large, large)
    const waiting = [
      model.flowPicture(a, b, { signal }),
      model.flowPicture(fixture('tiny/frame1.png'), b, { signal }),
      model.flowPictureFromFeatures(map, map, { signal }),
    ]
    const following = model.flowPicture(a, b)
    controller.abort(new Error('enough'))
    const reason = expect.objectContaining({ code: 'ERR_ABORTED', cause: new Error('enough') })
    expect(await Promise.allSettled(waiting)).toEqual(waiting.map(() => ({ status: 'rejected', reason })))
    await ahead
    expect(await following).toEqual(flowToColor(model.flowSync(a, b)))
    await expect(model.flowPicture(a, b, { signal: AbortSignal.abort() })).rejects.toThrow(
      flowError('ERR_ABORTED'),
    )
  })

  it('is waited for by dispose, and refused after it', async () => {
    const expected = flowToColor(model.flowSync(a, b))
    const other = await loadTiny()
    const [first, second] = [other.featuresSync(a), other.featuresSync(b)]
    const calls = [
      other.flowPicture(a, b),
      other.flowPicture(fixture('tiny/frame1.png'), b),
      other.flowPictureFromFeatures(first, second),
    ]
    await other.dispose()
    for (const call of calls) expect(await call).toEqual(expected)
    await expect(other.flowPicture(a, b)).rejects.toThrow(flowError('ERR_DISPOSED', 'model'))
    await expect(other.flowPictureFromFeatures(first, second)).rejects.toThrow(
      flowError('ERR_DISPOSED', 'model'),
    )
  })
})
