import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { openCheckpoint } from '../../lib/checkpoint/open.js'
import { readWeight } from '../../lib/checkpoint/values.js'
import { checkFrame } from '../../lib/frame.js'
import { FlowModel, type Normalization } from '../../lib/index.js'
import { loadModel } from '../../lib/load.js'
import { callSite } from '../../lib/native/failure.js'
import { exportModel, imageOf, type NdArray, runModel } from '../onnx/runtime.js'
import { largestDifference, relativeL2, sameBits, transpose } from '../support/compare.js'
import { useEmulator } from '../support/emulator.js'
import { figure } from '../support/figures.js'
import { fixture, loadTiny, type RgbFrame, TINY, tinyFrames } from '../support/fixtures.js'

useEmulator()

/** DINOv3's for pictures of satellites. */
const SATELLITE: Normalization = { mean: [0.43, 0.411, 0.296], std: [0.213, 0.156, 0.143] }
/** Far from ImageNet's, and from each other. */
const FAR: Normalization = { mean: [0, 1, 0.25], std: [1, 0.03, 0.5] }
const [PATCH, DIM, PATCHES] = [16, 64, 70]
const [a, b] = await tinyFrames()

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'normalization-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The patch embedding as it is defined, in double precision: weights * (pixel / 255 - mean) / std + bias. */
function embedded({ data, width }: RgbFrame, { mean, std }: Normalization): Float64Array {
  const file = openCheckpoint(TINY.backbone)
  const { weights } = readBackbone(file)
  const [weight, bias] = ['weight', 'bias'].map((leaf) =>
    readWeight(weights.find(({ name }) => name === `patch_embed.proj.${leaf}`)!),
  )
  file.close()
  const across = width / PATCH
  return Float64Array.from({ length: PATCHES * DIM }, (_, i) => {
    const [patch, row] = [Math.floor(i / DIM), i % DIM]
    const [top, left] = [Math.floor(patch / across) * PATCH, (patch % across) * PATCH]
    let sum = bias![row]!
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < PATCH; y++)
        for (let x = 0; x < PATCH; x++) {
          const pixel = data[3 * ((top + y) * width + left + x) + c]! / 255
          sum += weight![((row * 3 + c) * PATCH + y) * PATCH + x]! * ((pixel - mean[c]!) / std[c]!)
        }
    return sum
  })
}

/** A picture on another scale, as an exported model takes it. */
function scaled({ data, width, height }: RgbFrame, { mean, std }: Normalization): NdArray {
  const size = width * height
  const planar = Float32Array.from({ length: 3 * size }, (_, i) => {
    const c = Math.floor(i / size)
    return (data[3 * (i % size) + c]! / 255 - mean[c]!) / std[c]!
  })
  return { data: planar, dims: [1, 3, height, width] }
}

describe.each([
  { name: "a satellite's", normalization: SATELLITE },
  { name: 'far from the usual', normalization: FAR },
])('pixels of a normalisation that is $name', ({ name, normalization }) => {
  it.each([
    { device: 'cpu', precision: 'fp32', bar: 1e-5 },
    { device: 'cuda', precision: 'fp32', bar: 1e-5 },
    { device: 'cuda', precision: 'fp16', bar: 2e-3 },
  ] as const)('become the tokens of the definition: $device in $precision', async (engine) => {
    const { bar, ...choice } = engine
    const { native } = await loadModel({ ...TINY, ...choice, normalization }, callSite(loadModel))
    try {
      const frame = checkFrame(a, 'frame')
      const size = { gridHeight: 7, gridWidth: 10, height: 112, width: 160 }
      const flow = new Float32Array(2 * 112 * 160)
      const { trace } = native.run({ from: frame, to: frame, ...size, flow, trace: true })
      const tokens = trace!.find((entry) => entry.name.endsWith('.patch_tokens'))!
      expect([tokens.rows, tokens.cols]).toEqual([PATCHES, DIM])
      figure(
        `normalisation, ${choice.device} ${choice.precision}: patch tokens, relative L2`,
        relativeL2(tokens.values, embedded(a, normalization)),
        bar,
      )
    } finally {
      native.disposeSync()
    }
  })

  it('give the features and the flow that onnxruntime computes of pictures on that scale', async () => {
    const at = join(folder, name)
    await exportModel(at, { ...TINY, normalization }, { size: [112, 160] })
    await using model = await loadTiny({ normalization })
    using map = await model.features(a)
    const features = transpose(await map.read(), PATCHES, DIM)
    const outside = await runModel(at, 'backbone', { image: scaled(a, normalization) })
    figure('normalisation: features, relative L2', relativeL2(features, outside.data), 2e-5)
    const flow = await model.flow(a, b)
    const pair = { image1: scaled(a, normalization), image2: scaled(b, normalization) }
    const expected = await runModel(at, 'flow', pair)
    figure('normalisation: flow, worst (px)', largestDifference(flow.data, expected.data), 1e-3)
  })

  it('are normalised by the exported model itself, if it is asked to', async () => {
    const [inside, outside] = [join(folder, `${name}, inside`), join(folder, name)]
    await exportModel(inside, { ...TINY, normalization }, { size: [112, 160], normalisation: 'inside' })
    const actual = await runModel(inside, 'backbone', { image: imageOf(a, false) })
    const expected = await runModel(outside, 'backbone', { image: scaled(a, normalization) })
    expect(relativeL2(actual.data, expected.data)).toBeLessThan(2e-5)
  })
})

describe('the normalisation', () => {
  const flowOf = async (options: Parameters<typeof loadTiny>[0]) => {
    await using model = await loadTiny(options)
    return { flow: (await model.flow(a, b)).data, told: model.info.normalization }
  }

  it("is ImageNet's where nothing says otherwise, and naming it changes no bit", async () => {
    const imagenet: Normalization = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    const [silent, named] = [await flowOf({}), await flowOf({ normalization: imagenet })]
    expect(silent.told).toEqual({ ...imagenet, from: 'default' })
    expect(named.told).toEqual({ ...imagenet, from: 'option' })
    expect(sameBits(named.flow, silent.flow)).toBe(true)
    const other = await flowOf({ normalization: SATELLITE })
    expect(largestDifference(other.flow, silent.flow)).toBeGreaterThan(0.1)
  })

  it("is read beside Hugging Face's checkpoint, and the option goes before it", async () => {
    const backbone = join(folder, 'model.safetensors')
    copyFileSync(fixture('tiny/backbone_hf.safetensors'), backbone)
    copyFileSync(fixture('tiny/config_hf.json'), join(folder, 'config.json'))
    const processor = { image_mean: SATELLITE.mean, image_std: SATELLITE.std }
    writeFileSync(join(folder, 'preprocessor_config.json'), JSON.stringify(processor))
    const [read, given] = [await flowOf({ backbone: folder }), await flowOf({ normalization: SATELLITE })]
    expect(read.told).toEqual({ ...SATELLITE, from: 'file' })
    expect(sameBits(read.flow, given.flow)).toBe(true)
    const option = await flowOf({ backbone: folder, normalization: FAR })
    expect(option.told).toEqual({ ...FAR, from: 'option' })
  })

  it.each<[string, unknown, string]>([
    ['null', null, 'normalization.mean: must be three numbers from 0 to 1, not undefined'],
    ['no mean', { std: SATELLITE.std }, 'normalization.mean: must be'],
    ['no std', { mean: SATELLITE.mean }, 'normalization.std: must be three numbers from 0.01 to 1'],
    ['two numbers', { ...SATELLITE, mean: [0.4, 0.4] }, 'not [0.4, 0.4]'],
    ['four numbers', { ...SATELLITE, std: [1, 1, 1, 1] }, 'not [1, 1, 1, 1]'],
    ['a number', { ...SATELLITE, mean: 0.5 }, 'not 0.5'],
    ['text', { ...SATELLITE, mean: '0.4,0.4,0.4' }, 'not "0.4,0.4,0.4"'],
    ['a hole', { ...SATELLITE, mean: [0.4, undefined, 0.4] }, 'not [0.4, undefined, 0.4]'],
    ['NaN', { ...SATELLITE, mean: [0.4, NaN, 0.4] }, 'not [0.4, NaN, 0.4]'],
    ['levels of bytes', { ...SATELLITE, mean: [109, 104, 75] }, 'not [109, 104, 75]'],
    ['a deviation of 0', { ...SATELLITE, std: [0.2, 0, 0.2] }, 'not [0.2, 0, 0.2]'],
    ['a negative deviation', { ...SATELLITE, std: [0.2, -0.2, 0.2] }, 'not [0.2, -0.2, 0.2]'],
  ])('that is no normalisation is refused: %s', async (_, normalization, told) => {
    const loading = FlowModel.load({ ...TINY, normalization: normalization as Normalization })
    await expect(loading).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringContaining(told),
    })
  })
})
