import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FlowField, type FlowModel, type FlowResult } from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { loadTiny, noiseFrame, type RgbFrame, tinyFrames } from '../support/fixtures.js'
import { expectMapsOf } from '../support/streams.js'

let model: FlowModel
let a: RgbFrame
let b: RgbFrame

beforeAll(async () => {
  model = await loadTiny()
  ;[a, b] = await tinyFrames()
})
afterAll(() => model.dispose())

const ALL = { backward: true, occlusion: true, confidence: true } as const

describe('flowMaps', () => {
  it('gives the flow of `flow`, and maps by their formulas', async () => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const)
      await expectMapsOf(model, (await model.flowMaps(from, to, ALL)) as FlowResult, from, to)
  })

  it('gives only what was asked for', async () => {
    expect(Object.keys(await model.flowMaps(a, b))).toEqual(['flow'])
    const { occlusion, ...rest } = await model.flowMaps(a, b, { occlusion: true, output: [40, 60] })
    expect(Object.keys(rest)).toEqual(['flow'])
    expect(occlusion).toMatchObject({ width: 60, height: 40 })
  })

  it('writes the flow to the field that it is given', async () => {
    const into = new FlowField(160, 112)
    const { flow } = await model.flowMaps(a, b, { into, confidence: true })
    expect(flow).toBe(into)
    expect(sameBits(into.data, (await model.flow(a, b)).data)).toBe(true)
  })

  it('of features are those of their frames', async () => {
    using first = await model.features(a)
    using second = await model.features(b)
    const [ofMaps, ofFrames] = [
      await model.flowMapsFromFeatures(first, second, ALL),
      await model.flowMaps(a, b, ALL),
    ]
    expect(ofMaps).toEqual(ofFrames)
    expect(model.flowMapsSync(a, b, ALL)).toEqual(ofFrames)
    expect(model.flowMapsFromFeaturesSync(first, second, ALL)).toEqual(ofFrames)
  })

  it('says what is wrong with an argument, and works afterwards', async () => {
    await expect(model.flowMaps(a, b, { ...ALL, into: new FlowField(8, 8) })).rejects.toThrow(
      flowError('ERR_ARGUMENT', 'into: is 8 x 8, but the flow is 160 x 112'),
    )
    using first = await model.features(a)
    using other = await model.features(noiseFrame(64, 64, 1))
    await expect(model.flowMapsFromFeatures(first, other, ALL)).rejects.toThrow(flowError('ERR_ARGUMENT'))
    await expect(model.flowMaps(a, b, ALL)).resolves.toHaveProperty('confidence')
  })
})
