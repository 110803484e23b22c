import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosine, largestDifference, relativeL2 } from '../support/compare.js'
import { figure } from '../support/figures.js'
import { decodeRgb, fixture, noiseFrame, readTensors, tensor, TINY, tinyFrames } from '../support/fixtures.js'
import { writeBackbone, writeHead } from '../support/synthetic-checkpoint.mjs'
import { exportModel, imageOf, type NdArray, runModel } from './runtime.js'

let folder: string
let frames: readonly [NdArray, NdArray]
const golden = readTensors(fixture('tiny/activations.safetensors'))
const features = (i: number): NdArray => ({
  data: tensor(golden, `frame${i}.features`),
  dims: [1, 64, 7, 10],
})

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-'))
  const [first, second] = await tinyFrames()
  frames = [imageOf(first), imageOf(second)]
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each([
  { name: 'of one size', size: [112, 160] as const },
  { name: 'of any size', size: 'dynamic' as const },
])('models $name equal the oracle in onnxruntime', ({ name, size }) => {
  const at = () => join(folder, name)
  beforeAll(() => exportModel(at(), TINY, { size }))

  it.each([1, 2])('backbone.onnx: the features of frame %i to 2e-5', async (i) => {
    const result = await runModel(at(), 'backbone', { image: frames[i - 1]! })
    expect(result.dims).toEqual([1, 64, 7, 10])
    figure('ONNX, tiny: features, relative L2', relativeL2(result.data, features(i).data), 2e-5)
  })

  it('head.onnx: the flow of two feature maps to 0.001 px', async () => {
    const result = await runModel(at(), 'head', { features1: features(1), features2: features(2) })
    expect(result.dims).toEqual([1, 2, 112, 160])
    figure('ONNX, tiny: flow, worst (px)', largestDifference(result.data, tensor(golden, 'head.flow')), 1e-3)
  })

  it('flow.onnx: the flow of two pictures to 0.001 px', async () => {
    const result = await runModel(at(), 'flow', { image1: frames[0], image2: frames[1] })
    expect(result.dims).toEqual([1, 2, 112, 160])
    figure('ONNX, tiny: flow, worst (px)', largestDifference(result.data, tensor(golden, 'head.flow')), 1e-3)
  })
})

describe('models of any size', () => {
  it.each([
    [16, 16],
    [48, 208],
    [160, 32],
  ])('compute what those of %i x %i do', async (height, width) => {
    const [one, any] = [join(folder, `${height}x${width}`), join(folder, 'any')]
    await exportModel(one, TINY, { size: [height, width] })
    await exportModel(any, TINY, { size: 'dynamic' })
    const [image1, image2] = [1, 2].map((seed) => imageOf(noiseFrame(width, height, seed)))
    const pair = { image1: image1!, image2: image2! }
    const [expected, actual] = [await runModel(one, 'flow', pair), await runModel(any, 'flow', pair)]
    expect(actual.dims).toEqual(expected.dims)
    expect(largestDifference(actual.data, expected.data)).toBeLessThan(1e-3)
  })
})

it('an MLP backbone and a head of radius 3 without refinement equal the oracle', async () => {
  const paths = { backbone: join(folder, 'mlp.safetensors'), head: join(folder, 'r3.safetensors') }
  writeBackbone('tiny_mlp', paths.backbone)
  writeHead('tiny_r3', paths.head, 96)
  const expected = readTensors(fixture('tiny/mlp_r3_norefine.safetensors'))
  const at = join(folder, 'mlp')
  await exportModel(at, paths, { size: [112, 160] })
  const encoded = await runModel(at, 'backbone', { image: frames[0] })
  figure('ONNX, tiny: features, relative L2', relativeL2(encoded.data, tensor(expected, 'features1')), 2e-5)
  const flow = await runModel(at, 'flow', { image1: frames[0], image2: frames[1] })
  figure('ONNX, tiny: flow, worst (px)', largestDifference(flow.data, tensor(expected, 'flow')), 1e-3)
})

it('a checkpoint of Hugging Face gives the same model as one of Meta', async () => {
  const at = join(folder, 'hf')
  const backbone = fixture('tiny/backbone_hf.safetensors')
  const file = { backbone, head: TINY.head, backboneConfig: fixture('tiny/config_hf.json') }
  await exportModel(at, file, { size: [112, 160] })
  const { data } = await runModel(at, 'backbone', { image: frames[0] })
  figure('ONNX, tiny: features, relative L2', relativeL2(data, features(1).data), 2e-5)
})

describe('float16', () => {
  const at = () => join(folder, 'float16')
  beforeAll(() => exportModel(at(), TINY, { size: [112, 160], precision: 'float16' }))

  it('features have the direction of those of the oracle, cosine >= 0.9999', async () => {
    const { data } = await runModel(at(), 'backbone', { image: frames[0] })
    figure('ONNX, tiny, float16: features, 1 - cosine', 1 - cosine(data, features(1).data), 1e-4)
  })

  it('the flow is within 0.05 px', async () => {
    const { data } = await runModel(at(), 'flow', { image1: frames[0], image2: frames[1] })
    const worst = largestDifference(data, tensor(golden, 'head.flow'))
    figure('ONNX, tiny, float16: flow, worst (px)', worst, 0.05)
  })

  it('takes half the space', () => {
    const size = (name: string) => statSync(join(folder, name, 'head.onnx')).size
    expect(size('float16')).toBeLessThan(0.55 * size('of one size'))
  })
})

it('normalises pictures that come as RGB in 0..255', async () => {
  const at = join(folder, 'normalise')
  await exportModel(at, TINY, { size: [112, 160], normalisation: 'inside' })
  const [image1, image2] = (await tinyFrames()).map((frame) => imageOf(frame, false))
  const { data } = await runModel(at, 'backbone', { image: image1! })
  figure('ONNX, tiny: features, relative L2', relativeL2(data, features(1).data), 2e-5)
  const flow = await runModel(at, 'flow', { image1: image1!, image2: image2! })
  figure('ONNX, tiny: flow, worst (px)', largestDifference(flow.data, tensor(golden, 'head.flow')), 1e-3)
})

it('a model that is too large for one file has its tensors in another, and computes the same', async () => {
  const at = join(folder, 'external')
  const [backbone] = await exportModel(at, TINY, { size: [112, 160], largest: 100_000 })
  const sizes = ['backbone.onnx', 'backbone.onnx.data'].map((name) => statSync(join(at, name)).size)
  expect(sizes[0]).toBeLessThan(100_000)
  expect(sizes[0]! + sizes[1]!).toBe(backbone!.bytes)
  const { data } = await runModel(at, 'flow', { image1: frames[0], image2: frames[1] })
  figure('ONNX, tiny: flow, worst (px)', largestDifference(data, tensor(golden, 'head.flow')), 1e-3)
})

describe("the seed's configuration at 640 x 640 equals the oracle", { tags: ['slow'] }, () => {
  const paths = () => ({
    backbone: join(folder, 'vits16plus.safetensors'),
    head: join(folder, 'seed.safetensors'),
  })
  const expected = readTensors(fixture('seed/outputs.safetensors'))
  const pair = async () => {
    const [image1, image2] = [await decodeRgb('seed/frame1_640.png'), await decodeRgb('seed/frame2_640.png')]
    return { image1: imageOf(image1), image2: imageOf(image2) }
  }
  beforeAll(() => {
    writeBackbone('dinov3_vits16plus', paths().backbone)
    writeHead('seed', paths().head, 384)
  })

  it('float32: features to 2e-5, flow to 0.05 px', async () => {
    const at = join(folder, 'seed32')
    const written = await exportModel(at, paths(), { size: [640, 640] })
    const sizes = Object.values(paths()).map((path) => statSync(path).size)
    const over = written.at(-1)!.bytes - (sizes[0]! + sizes[1]!)
    figure('ONNX, seed: flow.onnx, bytes more than its weights', over, 1e6)
    const { image1, image2 } = await pair()
    const encoded = await runModel(at, 'backbone', { image: image1 })
    figure('ONNX, seed: features, relative L2', relativeL2(encoded.data, tensor(expected, 'features1')), 2e-5)
    const flow = await runModel(at, 'flow', { image1, image2 })
    figure('ONNX, seed: flow, worst (px)', largestDifference(flow.data, tensor(expected, 'flow')), 0.05)
  })

  it('float16: features, cosine >= 0.9999', async () => {
    const at = join(folder, 'seed16')
    await exportModel(at, paths(), { size: [640, 640], precision: 'float16' })
    const { image1 } = await pair()
    const { data } = await runModel(at, 'backbone', { image: image1 })
    figure('ONNX, seed, float16: features, 1 - cosine', 1 - cosine(data, tensor(expected, 'features1')), 1e-4)
  })
})
