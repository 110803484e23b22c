import { afterEach, describe, expect, it, vi } from 'vitest'
import { type FlowField, FlowModel, type Precision, type Refine } from '../../lib/index.js'
import { sameBits } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { decodeRgb, loadTiny, noiseFrame, type RgbFrame, tinyFrames } from '../support/fixtures.js'
import { traced } from '../support/host-trace.js'
import { expectRefinedMapsOf, withFlow } from '../support/streams.js'

useEmulator()
const [a, b] = await tinyFrames()
const load = (precision: Precision, refine: Refine) => loadTiny({ device: 'cuda', precision, refine })

afterEach(() => vi.unstubAllEnvs())

/** The share of pixels whose motions in two fields are at most `distance` px apart. */
function shareWithin(actual: FlowField, expected: FlowField, distance: number): number {
  let near = 0
  actual.x.forEach((x, i) => {
    if (Math.hypot(x - expected.x[i]!, actual.y[i]! - expected.y[i]!) <= distance) near++
  })
  return near / actual.x.length
}

/** Scenes whose flows once depended on rounding: two starts were nearly the same, or motions ended between pixels. */
const HARD_SCENES = [7, 10, 18]

/**
 * A part of a photograph that moves by whole and half pixels. Before it, a disc of another part moves on its own. Parts
 * that reach over the photograph's edge go on with its next row.
 */
async function movingScene(index: number): Promise<readonly [RgbFrame, RgbFrame]> {
  const photograph = await decodeRgb('seed/frame1_640.png')
  const [width, height] = [176, 128]
  const draw = (moved: number): RgbFrame => {
    const data = new Uint8Array(3 * width * height)
    const at = (x: number, y: number, c: number) => photograph.data[3 * (y * photograph.width + x) + c]!
    const between = (x: number, y: number, c: number) => (at(x, y, c) + at(x + 1, y, c)) / 2
    const shift = moved * (index % 2 === 0 ? 6 : -3)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let c = 0; c < 3; c++) {
          const inDisc = Math.hypot(x - 80 - moved * 9, y - 60 - moved * (index - 2)) < 34
          const [left, top] = inDisc
            ? [300 + 20 * index - moved * 9, 90 - moved * (index - 2)]
            : [40 + 30 * index + shift, 200 - moved * 2]
          const half = !inDisc && moved === 1 && index > 1
          data[3 * (y * width + x) + c] = (half ? between : at)(x + left, y + top, c)
        }
    return { data, width, height }
  }
  return [draw(0), draw(1)]
}

describe('a flow that the emulated GPU refines', () => {
  it.each(['fast', 'default', 'best'] as const)(
    'is that of the CPU engine to 0.01 px, for 99.9 percent of pixels, in fp32: %s',
    async (refine) => {
      await using gpu = await load('fp32', refine)
      await using cpu = await loadTiny({ refine })
      for (const options of [{}, { output: [90, 131] }, { output: 'model', size: [48, 64] }] as const) {
        const [onGpu, onCpu] = [await gpu.flow(a, b, options), await cpu.flow(a, b, options)]
        expect(shareWithin(onGpu, onCpu, 0.01), JSON.stringify(options)).toBeGreaterThanOrEqual(0.999)
      }
    },
  )

  it("is that of the CPU engine to 0.01 px, for 99.9 percent of pixels, from the starts of the package's model", async () => {
    const options = { size: 'native', refine: 'default' } as const
    await using gpu = await FlowModel.load({ device: 'cuda', precision: 'fp32', ...options })
    await using cpu = await FlowModel.load({ device: 'cpu', ...options })
    for (const index of HARD_SCENES) {
      const [from, to] = await movingScene(index)
      const [onGpu, onCpu] = [await gpu.flow(from, to), await cpu.flow(from, to)]
      expect(shareWithin(onGpu, onCpu, 0.01), `scene ${index}`).toBeGreaterThanOrEqual(0.999)
    }
  })

  it.runIf(process.arch === 'x64')(
    'is to 0.01 px that of the CPU engine with other instructions, for 99.9 percent of pixels',
    async () => {
      const options = { device: 'cpu', size: 'native', refine: 'default' } as const
      await using best = await FlowModel.load(options)
      vi.stubEnv('DINOV3_FLOW_ISA', 'sse2')
      await using least = await FlowModel.load(options)
      expect(least.info.instructionSet).toBe('sse2')
      for (const index of HARD_SCENES) {
        const [from, to] = await movingScene(index)
        const [one, other] = [await best.flow(from, to), await least.flow(from, to)]
        expect(shareWithin(one, other, 0.01), `scene ${index}`).toBeGreaterThanOrEqual(0.999)
      }
    },
  )

  it('has the confidence of the CPU engine to 0.02, for 99 percent of pixels, in fp32', async () => {
    await using gpu = await load('fp32', 'default')
    await using cpu = await loadTiny({ refine: 'default' })
    for (const options of [{}, { backward: true }, { output: [90, 131] }] as const) {
      const [onGpu, onCpu] = await Promise.all(
        [gpu, cpu].map(
          async (model) => (await model.flowMaps(a, b, { confidence: true, ...options })).confidence!.data,
        ),
      )
      const near = onGpu!.filter((value, i) => Math.abs(value - onCpu![i]!) <= 0.02).length
      expect(near / onGpu!.length, JSON.stringify(options)).toBeGreaterThanOrEqual(0.99)
    }
  })

  it.each(['fp16', 'bf16'] as const)('is close to that of the CPU engine in %s', async (precision) => {
    await using gpu = await load(precision, 'default')
    await using cpu = await loadTiny({ refine: 'default' })
    expect(shareWithin(await gpu.flow(a, b), await cpu.flow(a, b), 0.1)).toBeGreaterThan(0.9)
  })

  it('is the same in every call, and replays one graph', async () => {
    await using model = await load('fp16', 'default')
    const stream = model.stream({ backward: true, occlusion: true, confidence: true })
    const frames = [a, b, noiseFrame(160, 112, 3)]
    await stream.push(a)
    for (let i = 1; i < frames.length; i++)
      await expectRefinedMapsOf(model, withFlow(await stream.push(frames[i]!)), frames[i - 1]!, frames[i]!)
    using first = await model.features(a)
    using second = await model.features(b)
    const expected = await model.flow(a, b)
    expect(sameBits((await model.flowFromFeatures(first, second)).data, expected.data)).toBe(true)
    const oneByOne = async () => {
      for (const frame of frames) await stream.push(frame)
    }
    for (let i = 0; i < 3; i++) await oneByOne() // its maps have changed places
    expect(await traced(oneByOne)).toMatchObject({ captures: 0, replays: frames.length })
  })
})
