import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FlowColorOptions, FlowModel, FlowOutput, Precision, RgbImage } from '../../lib/index.js'
import { flowError, sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { figure } from '../support/figures.js'
import { loadTiny, noiseFrame, tinyFrames } from '../support/fixtures.js'
import { colorsOf, pictureDifference } from '../support/pictures.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = (precision: Precision) => loadTiny({ device: 'cuda', precision })

afterEach(() => vi.unstubAllEnvs())

/** Pictures of every kind of options, in that order. */
async function drawAll(model: FlowModel, output: FlowOutput, all: readonly FlowColorOptions[]) {
  const pictures: RgbImage[] = []
  for (const colors of all) pictures.push(await model.flowPicture(a, b, { output, ...colors }))
  return pictures
}

describe('a picture of the emulated GPU', () => {
  it.each<Precision>(['fp32', 'fp16'])(
    'is what flowToColor draws of its flow in %s, with every option, at every size',
    async (precision) => {
      await using model = await load(precision)
      const { worst, share } = await pictureDifference(model, a, b)
      figure(`cuda, tiny, ${precision}: picture, worst (levels)`, worst, 1)
      figure(`cuda, tiny, ${precision}: picture, bytes that differ`, share, 1e-4)
    },
  )

  it('is the same bytes when a recorded call is replayed, whatever options, sizes and flows came between', async () => {
    await using model = await load('fp16')
    const flow = await model.flow(a, b)
    const all = colorsOf(flow)
    const first = await drawAll(model, 'frame', all)
    const small = await drawAll(model, [60, 50], all)
    expect(new Set(first.map(({ data }) => Buffer.from(data).toString('base64'))).size).toBe(all.length)
    for (let round = 0; round < 2; round++) {
      await model.flowPicture(noiseFrame(61, 203, 2), b, { size: [32, 48] })
      expect(await drawAll(model, 'frame', all)).toEqual(first)
      expect(sameBits((await model.flow(a, b)).data, flow.data)).toBe(true)
      expect(await drawAll(model, [60, 50], all)).toEqual(small)
      await model.flowPicture(a, b, { output: [90 + 100 * round, 200] }) // its flow needs more memory every time
    }
  })

  it('is the same bytes from features, again and again', async () => {
    await using model = await load('fp16')
    const forward = await model.flowPicture(a, b, { output: [90, 131] })
    for (let round = 0; round < 4; round++) {
      using from = await model.features(a)
      using to = await model.features(b)
      expect(await model.flowPictureFromFeatures(from, to, { output: [90, 131] })).toEqual(forward)
    }
  })

  it('is the same bytes where its memory is the host’s', async () => {
    const discrete = await load('fp16')
    const expected = await discrete.flowPicture(a, b)
    await discrete.dispose()
    vi.stubEnv('EMULATOR_INTEGRATED', '1')
    await using model = await load('fp16')
    vi.unstubAllEnvs()
    for (let round = 0; round < 3; round++) expect(await model.flowPicture(a, b)).toEqual(expected)
  })

  it('that there is no memory for is ERR_OUT_OF_MEMORY, and the next one works', async () => {
    await using model = await load('fp16')
    const flow = await model.flow(a, b)
    vi.stubEnv('EMULATOR_FAIL', 'cuMemAlloc:1') // for the search for the longest motion
    await expect(model.flowPicture(a, b)).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY'))
    vi.unstubAllEnvs()
    const expected = await model.flowPicture(a, b)
    for (let n = 1; n <= 3; n++) {
      const output = [150 * n, 203] as const
      vi.stubEnv('EMULATOR_FAIL', `cuMemAlloc:${Math.min(n, 2)}`)
      await expect(model.flowPicture(a, b, { output })).rejects.toThrow(flowError('ERR_OUT_OF_MEMORY'))
      vi.unstubAllEnvs()
      await model.flowPicture(a, b, { output })
      expect(await model.flowPicture(a, b)).toEqual(expected)
      expect(sameBits((await model.flow(a, b)).data, flow.data)).toBe(true)
    }
  })
})
