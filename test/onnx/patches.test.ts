import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ModelSource, type OpenModel, withModel } from '../../lib/checkpoint/open-model.js'
import type { Weight } from '../../lib/checkpoint/tensor.js'
import type { ExportPrecision } from '../../lib/onnx/graph.js'
import type { FixedGrid } from '../../lib/onnx/grid.js'
import { modelContent } from '../../lib/onnx/models.js'
import { patchModelContent } from '../../lib/onnx/patches.js'
import { onnxFiles } from '../../lib/onnx/write.js'
import { writeTogether } from '../../lib/support/write-file.js'
import { cosine, relativeL2, transpose } from '../support/compare.js'
import { figure } from '../support/figures.js'
import { noiseFrame, readTensors, fixture, tensor, TINY, tinyFrames } from '../support/fixtures.js'
import { imageOf, type NdArray, runFile } from './runtime.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-patches-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Writes the model from patches. */
async function write(source: ModelSource, grid: FixedGrid, precision: ExportPrecision): Promise<string> {
  const path = join(folder, `${precision}.onnx`)
  await withModel(source, (model) =>
    writeTogether(onnxFiles(path, patchModelContent(model, { grid, precision })).files),
  )
  return path
}

/** The patches of a normalised picture, with columns beyond their values that hold `beyond`. */
function patchesOf({ data, dims }: NdArray, patch: number, columns: number, beyond: number): NdArray {
  const [, , height, width] = dims as [number, number, number, number]
  const [rows, across] = [height / patch, width / patch]
  const patches = new Float32Array(rows * across * columns).fill(beyond)
  for (let row = 0; row < rows * across; row++) {
    const [top, left] = [patch * Math.floor(row / across), patch * (row % across)]
    for (let i = 0; i < 3 * patch * patch; i++) {
      const [channel, y, x] = [Math.floor(i / patch ** 2), Math.floor(i / patch) % patch, i % patch]
      patches[row * columns + i] = data[(channel * height + top + y) * width + left + x]!
    }
  }
  return { data: patches, dims: [rows * across, columns] }
}

describe('the backbone from patches has the features of the backbone from pictures', () => {
  const grid = { height: 7, width: 10 }
  const golden = readTensors(fixture('tiny/activations.safetensors'))
  const expected = transpose(tensor(golden, 'frame1.features'), 64, 70)

  test('in float32 to 2e-5', async () => {
    const [frame] = await tinyFrames()
    const path = await write(TINY, grid, 'float32')
    const { data, dims } = await runFile(path, { patches: patchesOf(imageOf(frame), 16, 768, 0) })
    expect(dims).toEqual([70, 64])
    figure('ONNX, tiny: features, relative L2', relativeL2(data, expected), 2e-5)
  })

  test('in float16, which its input has, with a cosine of at least 0.9999', async () => {
    const [frame] = await tinyFrames()
    const path = await write(TINY, grid, 'float16')
    const patches = patchesOf(imageOf(frame), 16, 768, 0)
    const { data, dims } = await runFile(path, { patches }, 'float16')
    expect(dims).toEqual([70, 64])
    figure('ONNX, tiny, float16: features, 1 - cosine', 1 - cosine(data, expected), 1e-4)
  })

  test("for the package's model, whose patches have 8 x 8 pixels", async () => {
    const image = imageOf(noiseFrame(48, 32, 3))
    await same({}, image, { height: 4, width: 6, patch: 8, columns: 192 })
  })

  test('where columns are added to the values of a patch, whatever is in them', async () => {
    const image = imageOf(noiseFrame(42, 28, 3))
    await same(TINY, image, { height: 2, width: 3, patch: 14, columns: 592 }, withPatch)
  })

  test("for a backbone that expects other pixels, such as DINOv3's of satellite pictures", async () => {
    const frame = noiseFrame(48, 32, 3)
    const [one, other] = ['inside.onnx', 'patches.onnx'].map((name) => join(folder, name)) as [string, string]
    const normalization = { mean: [0.43, 0.411, 0.296], std: [0.213, 0.156, 0.143], from: 'option' } as const
    await withModel({}, async ({ backbone, ...rest }) => {
      const model = { ...rest, backbone: { ...backbone, normalization } }
      const pictures = modelContent('backbone', model, {
        precision: 'float32',
        version: '0.0.0',
        size: [32, 48],
        normalisation: 'inside',
      })
      const patches = patchModelContent(model, { precision: 'float32', grid: { height: 4, width: 6 } })
      await writeTogether([...onnxFiles(one, pictures).files, ...onnxFiles(other, patches).files])
    })
    const expected = await runFile(one, { image: imageOf(frame, false) })
    const { data } = await runFile(other, { patches: patchesOf(imageOf(frame), 8, 192, 0) })
    const features = transpose(expected.data, expected.dims[1]!, 24)
    figure('ONNX, patches of other pixels: relative L2', relativeL2(data, features), 1e-5)
  })
})

/** Compares both models of a checkpoint in float32. Columns beyond the values of a patch hold 5. */
async function same(
  source: ModelSource,
  image: NdArray,
  { height, width, patch, columns }: FixedGrid & { readonly patch: number; readonly columns: number },
  change = (model: OpenModel, _patch: number) => model,
): Promise<void> {
  const [one, other] = ['pictures.onnx', 'patches.onnx'].map((name) => join(folder, name)) as [string, string]
  const options = { precision: 'float32', version: '0.0.0' } as const
  await withModel(source, async (opened) => {
    const model = change(opened, patch)
    const size = [height * patch, width * patch] as const
    const pictures = modelContent('backbone', model, { ...options, size, normalisation: 'outside' })
    const patches = patchModelContent(model, { precision: options.precision, grid: { height, width } })
    await writeTogether([...onnxFiles(one, pictures).files, ...onnxFiles(other, patches).files])
  })
  const expected = await runFile(one, { image })
  const { data } = await runFile(other, { patches: patchesOf(image, patch, columns, 5) })
  const features = transpose(expected.data, expected.dims[1]!, height * width)
  figure('ONNX, patches against pictures: relative L2', relativeL2(data, features), 1e-5)
}

/** A model with smaller patches, whose weights are the first of those that the file has for them. */
function withPatch(model: OpenModel, patch: number): OpenModel {
  const { config, weights } = model.backbone
  const shape = [config.dim, 3, patch, patch]
  const count = shape.reduce((product, n) => product * n, 1)
  const smaller = weights.map((weight) => {
    if (weight.name !== 'patch_embed.proj.weight') return weight
    const [part] = weight.parts as [Exclude<Weight['parts'][number], { zeros: number }>]
    const tensor = { ...part.tensor, shape: [count], strides: [1] }
    return { ...weight, shape, parts: [{ ...part, tensor }] }
  })
  return { ...model, backbone: { ...model.backbone, config: { ...config, patch }, weights: smaller } }
}
