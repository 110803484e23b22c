import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FlowModel } from '../../lib/index.js'
import { exportModel, imageOf, runModel } from '../onnx/runtime.js'
import { largestDifference, relativeL2, transpose } from '../support/compare.js'
import { tinyFrames } from '../support/fixtures.js'

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
