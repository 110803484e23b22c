import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FlowModel, LoadOptions, StreamResult } from '../../lib/index.js'
import { cosine, flowError, relativeL2, sameBits, transpose } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { figure } from '../support/figures.js'
import { fixture, loadTiny, readTensors, tensor, tinyFrames, withFolder } from '../support/fixtures.js'
import { writeBackbone } from '../support/synthetic-checkpoint.mjs'

useEmulator()
const [a, b] = await tinyFrames()

afterEach(() => vi.unstubAllEnvs())

/** Of the hidden layer of the first block: only a patch of frame `b` excites it. */
const MASSIVE_CHANNEL = 77
const OTHER_MASSIVE_CHANNELS = [5, 40]

const massive = (name: string) => readTensors(fixture(`massive/${name}.safetensors`))

/** Weights whose hidden values are up to `factor` * 1e6 in frame `b`, and in range in frame `a`. */
function massiveInB(factor: number): Map<string, Float32Array> {
  const tensors = massive('swiglu_1e6')
  const weight = tensor(tensors, 'blocks.0.mlp.w2.weight')
  const row = (channel: number) => weight.subarray(64 * channel, 64 * (channel + 1))
  row(MASSIVE_CHANNEL).set(row(MASSIVE_CHANNEL).map((w) => factor * w))
  for (const channel of OTHER_MASSIVE_CHANNELS) row(channel).fill(0)
  return tensors
}

/** Runs `use` with the tiny model, some tensors of whose backbone are replaced. */
async function withModel(
  replaced: ReadonlyMap<string, Float32Array>,
  options: Partial<LoadOptions>,
  use: (model: FlowModel) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const backbone = join(folder, 'backbone.safetensors')
    writeBackbone('tiny', backbone, replaced)
    await using model = await loadTiny({ device: 'cuda', ...options, backbone })
    await use(model)
  })
}

async function featuresOf(model: FlowModel, frame: typeof a): Promise<Float32Array> {
  const map = await model.features(frame)
  return transpose(await map.read(), map.gridHeight * map.gridWidth, 64)
}

describe('hidden values beyond the range of float16', () => {
  it.each(['5e4', '1e6'])(
    'of %s give the features of the oracle, from the first frame on',
    async (hidden) => {
      const oracle = massive(`swiglu_${hidden}`)
      await withModel(oracle, { precision: 'fp16' }, async (model) => {
        expect(model.numerics).toEqual({ precision: 'fp16', scaled: [] })
        for (const [frame, name] of [
          [a, 'features1'],
          [b, 'features2'],
          [a, 'features1'],
        ] as const)
          // prettier-ignore
          figure(
          `cuda, massive activations to ${hidden}, fp16: 1 - cosine`,
          1 - cosine(await featuresOf(model, frame), tensor(oracle, name)),
          5e-4,
        )
        const scaled = hidden === '1e6' ? [{ block: 0, values: 'hidden', exponent: -6 }] : []
        expect(model.numerics).toEqual({ precision: 'fp16', scaled })
        expect(model.info.precision).toBe('fp16')
      })
    },
  )

  it('are in range of fp32 and of the CPU as they are', async () => {
    const oracle = massive('swiglu_1e6')
    for (const options of [{ precision: 'fp32' }, { device: 'cpu' }] as const)
      await withModel(oracle, options, async (model) => {
        expect(relativeL2(await featuresOf(model, b), tensor(oracle, 'features2'))).toBeLessThan(2e-5)
        expect(model.numerics).toEqual({ precision: 'fp32', scaled: [] })
      })
  })

  it('that no scale brings back are ERR_PRECISION, which names the precision to take', async () => {
    await withModel(massiveInB(1e5), { precision: 'fp16' }, async (model) => {
      const expected = await model.flow(a, a)
      for (let round = 0; round < 2; round++) {
        const error = flowError('ERR_PRECISION', "'fp16'", "'bf16'")
        await expect(model.flow(a, b)).rejects.toThrow(error)
        expect(() => model.flowSync(a, b)).toThrow(error)
        await expect(model.features(b)).rejects.toThrow(error)
        expect(sameBits((await model.flow(a, a)).data, expected.data)).toBe(true)
      }
    })
  })

  it('have a model that may choose go on in bf16, with the frame that showed them', async () => {
    const weights = massiveInB(1e5)
    await withModel(weights, { precision: 'fp32' }, async (exact) => {
      await withModel(weights, {}, async (model) => {
        const kept = await model.features(a)
        expect(model.numerics.precision).toBe('fp16')
        const { features } = await model.advance(kept, b)
        expect(model.numerics.precision).toBe('bf16')
        expect(model.info.precision).toBe('fp16')
        const wanted = await (await exact.features(b)).read()
        expect(cosine(await features.read(), wanted)).toBeGreaterThan(0.999)
        expect(cosine(await featuresOf(model, a), await featuresOf(exact, a))).toBeGreaterThan(0.999)
      })
    })
  })

  it('fail one frame of a stream', async () => {
    await withModel(massiveInB(1e5), { precision: 'fp16' }, async (model) => {
      using stream = model.stream()
      await stream.push(a)
      await expect(stream.push(b)).rejects.toThrow(flowError('ERR_PRECISION'))
      const result = await stream.push(a)
      expect(result?.flow?.data.every(Number.isFinite) ?? true).toBe(true)
    })
  })

  it('concern one frame of those in flight, and are gone before the next one reads its features', async () => {
    const alike = [1, 2, 3].map((n) => ({ ...a, data: a.data.map((value, i) => (i < 100 * n ? 9 : value)) }))
    const frames = [a, alike[0]!, b, alike[1]!, alike[2]!]
    const settled = async (results: readonly Promise<StreamResult | undefined>[]) =>
      (await Promise.allSettled(results)).map((result) =>
        result.status === 'rejected' ? (result.reason as unknown) : result.value?.flow?.data,
      )
    for (const options of [{ precision: 'fp16' }, {}] as const) {
      const expected: unknown[] = []
      await withModel(massiveInB(1e5), options, async (model) => {
        using stream = model.stream()
        for (const frame of frames) expected.push(...(await settled([stream.push(frame)])))
      })
      await withModel(massiveInB(1e5), options, async (model) => {
        using stream = model.stream()
        vi.stubEnv('EMULATOR_STREAMS', 'late') // whoever does not wait reads what was there before
        const results = await settled(frames.map((frame) => stream.push(frame)))
        for (const [i, result] of results.entries())
          if (result instanceof Float32Array) expect(sameBits(result, expected[i] as Float32Array)).toBe(true)
          else if (result === undefined) expect(i).toBe(0)
          else expect([i, result, options]).toEqual([2, flowError('ERR_PRECISION'), { precision: 'fp16' }])
        expect(model.numerics.precision).toBe('precision' in options ? 'fp16' : 'bf16')
      })
      vi.unstubAllEnvs()
    }
  })
})

describe('features that are infinite or NaN', () => {
  it.each<Partial<LoadOptions>>([{ device: 'cpu' }, { precision: 'fp32' }, { precision: 'bf16' }])(
    'are ERR_PRECISION with %o, and the model works afterwards',
    async (options) => {
      await withModel(massiveInB(1e35), options, async (model) => {
        const expected = await model.flow(a, a)
        await expect(model.flow(a, b)).rejects.toThrow(flowError('ERR_PRECISION'))
        expect(sameBits((await model.flow(a, a)).data, expected.data)).toBe(true)
      })
    },
  )

  it('are told while loading if fp16 cannot hold the weights, which a model that may choose has in bf16', async () => {
    const weights = massiveInB(1e35)
    const nothing = () => Promise.resolve()
    await expect(withModel(weights, { precision: 'fp16' }, nothing)).rejects.toThrow(
      flowError('ERR_PRECISION', "'fp16'", "'bf16'"),
    )
    await withModel(weights, {}, async (model) => {
      expect(model.numerics.precision).toBe('bf16')
      await model.flow(a, a)
    })
  })
})
