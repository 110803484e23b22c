import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { PIXEL_FORMATS } from '../../lib/index.js'
import type { Precision } from '../../lib/index.js'
import { largestDifference, meanDifference, relativeL2, sameBits, transpose } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { figure } from '../support/figures.js'
import {
  fixture,
  loadTiny,
  noiseFrame,
  readTensors,
  tensor,
  tinyFrames,
  withFolder,
} from '../support/fixtures.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'

useEmulator()
const golden = readTensors(fixture('tiny/activations.safetensors'))
const [a, b] = await tinyFrames()
const load = (precision: Precision) => loadTiny({ device: 'cuda', precision })

describe('the emulated GPU', () => {
  it('gives the flow of the oracle in fp32, to 1e-3 px', async () => {
    await using model = await load('fp32')
    const flow = await model.flow(a, b)
    figure(
      'cuda, tiny, fp32: flow, worst (px)',
      largestDifference(flow.data, tensor(golden, 'head.flow')),
      1e-3,
    )
    const expected = readTensors(fixture('tiny/flow_150x203.safetensors'))
    const resized = await model.flow(a, b, { output: [150, 203] })
    figure(
      'cuda, tiny, fp32: flow at 150 x 203, worst (px)',
      largestDifference(resized.data, tensor(expected, 'flow')),
      1e-3,
    )
  })

  it.each<[Precision, number, number]>([
    ['fp32', 1e-5, 1e-3],
    ['fp16', 2e-3, 0.05],
    ['bf16', 1.5e-2, 0.5],
  ])('gives features and flow of the CPU engine in %s', async (precision, features, pixels) => {
    await using gpu = await load(precision)
    await using cpu = await loadTiny()
    const [onGpu, onCpu] = [await gpu.features(a), await cpu.features(a)]
    figure(
      `cuda, tiny, ${precision}: features, relative L2`,
      relativeL2(await onGpu.read(), await onCpu.read()),
      features,
    )
    figure(
      `cuda, tiny, ${precision}: flow against the CPU's, mean (px)`,
      meanDifference((await gpu.flow(a, b)).data, (await cpu.flow(a, b)).data),
      pixels,
    )
  })

  it('gives the flow of an MLP backbone with a head of radius 3 and no refinement', async () => {
    await withFolder(async (folder) => {
      const [backbone, head] = [join(folder, 'backbone.safetensors'), join(folder, 'head.safetensors')]
      writeBackbone('tiny_mlp', backbone)
      writeHead('tiny_r3', head, 96)
      await using model = await loadTiny({ backbone, head, device: 'cuda', precision: 'fp32' })
      const expected = readTensors(fixture('tiny/mlp_r3_norefine.safetensors'))
      const map = await model.features(a)
      expect(
        relativeL2(
          transpose(await map.read(), map.gridHeight * map.gridWidth, 96),
          tensor(expected, 'features1'),
        ),
      ).toBeLessThan(1e-5)
      expect(largestDifference((await model.flow(a, b)).data, tensor(expected, 'flow'))).toBeLessThan(1e-3)
    })
  })

  it('gives the same bits when a recorded frame is replayed, whatever came between', async () => {
    await using model = await load('fp16')
    const first = await model.flow(a, b)
    const others = [noiseFrame(160, 112, 1), noiseFrame(61, 203, 2)] as const
    for (let round = 0; round < 4; round++) {
      await model.flow(others[0], others[1])
      await model.flow(others[1], others[0], { size: [32, 48] })
      expect(sameBits((await model.flow(a, b)).data, first.data)).toBe(true)
      expect(sameBits(model.flowSync(a, b).data, first.data)).toBe(true)
    }
  })

  it('gives from features what it gives from frames, in both directions, again and again', async () => {
    await using model = await load('fp16')
    const [forward, backward] = [await model.flow(a, b), await model.flow(b, a)]
    for (let round = 0; round < 4; round++) {
      const [from, to] = [await model.features(a), await model.features(b)]
      expect(sameBits((await model.flowFromFeatures(from, to)).data, forward.data)).toBe(true)
      expect(sameBits((await model.flowFromFeatures(to, from)).data, backward.data)).toBe(true)
      const next = await model.advance(from, b)
      expect(sameBits(next.flow.data, forward.data)).toBe(true)
      expect(sameBits(await next.features.read(), await to.read())).toBe(true)
      for (const map of [from, to, next.features]) map.dispose()
    }
  })

  it.each(PIXEL_FORMATS)('resizes %s frames as the CPU does', async (format) => {
    await using gpu = await load('fp32')
    await using cpu = await loadTiny()
    const frame = (seed: number) => {
      const made = cpu.createFrame({ width: 61, height: 39, format })
      made.data.set(noiseFrame(made.data.length, 1, seed).data.subarray(0, made.data.length))
      return made
    }
    const options = { size: [48, 80] } as const
    const difference = largestDifference(
      (await gpu.flow(frame(1), frame(2), options)).data,
      (await cpu.flow(frame(1), frame(2), options)).data,
    )
    expect(difference).toBeLessThan(1e-3)
  })

  it('gives the same bits where its memory is the host’s', async () => {
    const discrete = await load('fp16')
    const expected = await discrete.flow(a, b)
    await discrete.dispose()
    vi.stubEnv('EMULATOR_INTEGRATED', '1')
    await using model = await load('fp16')
    vi.unstubAllEnvs()
    expect(model.info.gpu).toMatchObject({ integrated: true })
    for (let round = 0; round < 3; round++)
      expect(sameBits((await model.flow(a, b)).data, expected.data)).toBe(true)
  })

  it('says what it is', async () => {
    await using model = await loadTiny({ device: 'cuda:0' })
    expect(model.info).toMatchObject({
      engine: 'cuda',
      precision: 'fp16',
      instructionSet: null,
      threads: null,
      gpuUnused: null,
      gpu: {
        index: 0,
        computeCapability: '9.0',
        driver: '13.0',
        integrated: false,
        kernels: expect.stringMatching(/^(sm|compute)_\d/),
      },
    })
  })
})
