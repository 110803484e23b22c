import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FlowModel } from '../../lib/index.js'
import { exportModel, imageOf, runModel } from '../onnx/runtime.js'
import { largestDifference, relativeL2, transpose } from '../support/compare.js'
import { loadTiny, noiseFrame, TINY, tinyFrames } from '../support/fixtures.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

// Its patches, its radius, its upsampling and its float16 weights are none of the oracle's models.
test("the package's model computes in onnxruntime what it does in the engine", async () => {
  const [width, height] = [160, 112]
  await exportModel(folder, {}, { size: [height, width] })
  const [first, second] = await tinyFrames()
  await using model = await FlowModel.load({ device: 'cpu', size: 'native', refine: 'off' })
  using map = await model.features(first)
  const { data } = await runModel(folder, 'backbone', { image: imageOf(first) })
  const patches = map.gridHeight * map.gridWidth
  expect(relativeL2(data, transpose(await map.read(), patches, map.dim))).toBeLessThan(2e-5)
  const flow = await model.flow(first, second)
  const exported = await runModel(folder, 'flow', { image1: imageOf(first), image2: imageOf(second) })
  expect(exported.dims).toEqual([1, 2, height, width])
  expect(largestDifference(exported.data, flow.data)).toBeLessThan(1e-3)
})

// dinov3_ros runs its engines so.
test('the features of one frame after the other give flows in backbone.onnx and head.onnx, inputs by position', async () => {
  const size = 96
  const at = join(folder, 'tiny')
  await exportModel(at, TINY, { size: [size, size] })
  await using model = await loadTiny()
  const frames = [1, 2, 3].map((seed) => noiseFrame(size, size, seed))
  const [backbone, head] = [await session(at, 'backbone'), await session(at, 'head')]
  let previous: Tensor | undefined
  let flows = 0
  for (const [i, frame] of frames.entries()) {
    const { data, dims } = imageOf(frame)
    const features = await runByPosition(backbone, [new Tensor('float32', data, dims)])
    expect(features.dims).toEqual([1, 64, size / 16, size / 16])
    if (previous !== undefined) {
      const flow = await runByPosition(head, [previous, features])
      expect(flow.dims).toEqual([1, 2, size, size])
      const expected = await model.flow(frames[i - 1]!, frame)
      expect(largestDifference(flow.data as Float32Array, expected.data)).toBeLessThan(1e-3)
      flows++
    }
    previous = features
  }
  expect(flows).toBe(2)
  await Promise.all([backbone.release(), head.release()])
})

function session(at: string, name: 'backbone' | 'head'): Promise<InferenceSession> {
  return InferenceSession.create(join(at, `${name}.onnx`), { executionProviders: ['cpu'] })
}

/** The first output of a model that is given its inputs in order, without their names. */
async function runByPosition(model: InferenceSession, inputs: readonly Tensor[]): Promise<Tensor> {
  expect(model.inputNames).toHaveLength(inputs.length)
  const outputs = await model.run(Object.fromEntries(model.inputNames.map((name, i) => [name, inputs[i]!])))
  return outputs[model.outputNames[0]!]!
}
