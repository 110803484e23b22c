import { readFileSync } from 'node:fs'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_MODEL } from '../../lib/checkpoint/default-model.js'
import { FlowModel, readFlow } from '../../lib/index.js'
import { largestDifference, meanDifference } from '../support/compare.js'
import { figure } from '../support/figures.js'
import { fixture } from '../support/fixtures.js'

describe("the package's model", () => {
  let model: FlowModel
  beforeAll(async () => {
    model = await FlowModel.load()
  })
  afterAll(() => model?.dispose())

  it('is loaded where no files are named', () => {
    expect(model.info.files).toEqual({ backbone: DEFAULT_MODEL, head: DEFAULT_MODEL })
    expect(model.info.backbone.patch).toBe(8)
    expect(model.info.unused.backbone.filter((name) => !name.startsWith('head.'))).toEqual([])
    expect(model.info.unused.head.filter((name) => !name.startsWith('backbone.'))).toEqual([])
  })

  it('is small, and its file says what it is and how it was made', () => {
    const file = readFileSync(DEFAULT_MODEL)
    expect(file.length).toBeLessThan(12e6)
    const header = file.subarray(8, 8 + Number(file.readBigUInt64LE()))
    const { __metadata__: said } = JSON.parse(header.toString()) as { __metadata__: Record<string, string> }
    expect(said).toMatchObject({ licence: 'Apache-2.0' })
    expect(JSON.parse(said['config']!).backbone).toMatchObject({ patch: 8 })
    expect(JSON.parse(said['training']!).stages[0]).toMatchObject({ data: 'scenes' })
    expect(JSON.parse(said['figures']!).scenes).toHaveProperty('DIS')
  })

  // Written by `python3 -m dinov3_flow.predict` from the same file: again when the weights are replaced.
  it('computes what it was trained to, to 0.01 px', async () => {
    const flow = await model.flow(fixture('tiny/frame1.png'), fixture('tiny/frame2.png'), {
      size: 'fit',
      refine: 'off',
    })
    const expected = await readFlow(fixture('small/flow.flo'))
    figure('small model: flow against PyTorch, worst (px)', largestDifference(flow.data, expected.data), 0.01)
    figure('small model: flow against PyTorch, mean (px)', meanDifference(flow.data, expected.data), 0.001)
  })

  it.each([
    ['rgb', 0.01],
    ['gray', 0.01],
  ] as const)('sees how far a picture was shifted: %s, to %f px', async (format, bound) => {
    const [width, height] = [256, 192]
    const [dx, dy] = [11, -6]
    const cut = async (left: number, top: number) => {
      const picture = sharp(fixture('seed/frame1_640.png')).extract({ left, top, width, height })
      const pixels = format === 'gray' ? picture.grayscale() : picture.removeAlpha()
      return { data: await pixels.raw().toBuffer(), width, height, format }
    }
    const flow = await model.flow(await cut(180, 180), await cut(180 - dx, 180 - dy))
    const middle = (plane: number) => {
      const values: number[] = []
      for (let y = 32; y < height - 32; y++)
        for (let x = 32; x < width - 32; x++) values.push(flow.data[(plane * height + y) * width + x]!)
      return values.sort((a, b) => a - b)[values.length >> 1]!
    }
    expect(Math.abs(middle(0) - dx)).toBeLessThan(bound)
    expect(Math.abs(middle(1) - dy)).toBeLessThan(bound)
  })

  it('sees that nothing moves', async () => {
    const { data } = await model.flow(fixture('seed/frame1_640.png'), fixture('seed/frame1_640.png'))
    expect(data.every((value) => value === 0)).toBe(true)
  })
})
