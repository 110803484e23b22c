import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_MODEL } from '../../lib/default-model.js'
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
    const flow = await model.flow(fixture('tiny/frame1.png'), fixture('tiny/frame2.png'))
    const expected = await readFlow(fixture('small/flow.flo'))
    figure('small model: flow against PyTorch, worst (px)', largestDifference(flow.data, expected.data), 0.01)
    figure('small model: flow against PyTorch, mean (px)', meanDifference(flow.data, expected.data), 0.001)
  })

  it('sees how far a picture was shifted', async () => {
    const [width, height] = [256, 192]
    const [dx, dy] = [11, -6]
    const picture = clouds(width + 64, height + 64)
    const cut = (x: number, y: number) => {
      const data = new Uint8Array(width * height)
      for (let row = 0; row < height; row++)
        data.set(picture.subarray((row + y) * (width + 64) + x).subarray(0, width), row * width)
      return { data, width, height, format: 'gray' } as const
    }
    const flow = await model.flow(cut(32, 32), cut(32 - dx, 32 - dy))
    const middle = (plane: number) => {
      const values: number[] = []
      for (let y = 32; y < height - 32; y++)
        for (let x = 32; x < width - 32; x++) values.push(flow.data[(plane * height + y) * width + x]!)
      return values.sort((a, b) => a - b)[values.length >> 1]!
    }
    expect(Math.abs(middle(0) - dx)).toBeLessThan(2.5)
    expect(Math.abs(middle(1) - dy)).toBeLessThan(2.5)
  })

  it('sees that nothing moves', async () => {
    const flow = await model.flow(fixture('seed/frame1_640.png'), fixture('seed/frame1_640.png'))
    const { data } = flow
    const half = data.length / 2
    let sum = 0
    for (let i = 0; i < half; i++) sum += Math.hypot(data[i]!, data[half + i]!)
    expect(sum / half).toBeLessThan(0.15)
  })
})

/** A grey picture of smooth noise at several scales, the same every time. */
function clouds(width: number, height: number): Uint8Array {
  const random = (x: number, y: number, octave: number) => {
    const mixed = Math.sin(x * 127.1 + y * 311.7 + octave * 74.7) * 43758.5453
    return mixed - Math.floor(mixed)
  }
  const smooth = (t: number) => t * t * (3 - 2 * t)
  const out = new Uint8Array(width * height)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let value = 0
      for (const [octave, cell] of [40, 20, 10, 5].entries()) {
        const [cx, cy] = [Math.floor(x / cell), Math.floor(y / cell)]
        const [fx, fy] = [smooth(x / cell - cx), smooth(y / cell - cy)]
        const at = (i: number, j: number) => random(cx + i, cy + j, octave)
        const top = at(0, 0) * (1 - fx) + at(1, 0) * fx
        const bottom = at(0, 1) * (1 - fx) + at(1, 1) * fx
        value += (top * (1 - fy) + bottom * fy) / 2 ** octave
      }
      out[y * width + x] = Math.round((255 * value) / 1.875)
    }
  return out
}
