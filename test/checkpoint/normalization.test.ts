import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readBackbone, type BackboneOptions } from '../../lib/checkpoint/backbone.js'
import { inspectCheckpoint } from '../../lib/checkpoint/inspect.js'
import { IMAGENET } from '../../lib/checkpoint/normalization.js'
import { entriesOf, fixture, refusal, scratch, withFile, writeSafetensors } from './helpers.js'

const folder = scratch()
const SATELLITE = { mean: [0.43, 0.411, 0.296], std: [0.213, 0.156, 0.143] } as const
/** As transformers writes it for DINOv3's satellite models: the keys of its fast image processors, many of them null. */
const PROCESSOR = {
  crop_size: null,
  data_format: 'channels_first',
  default_to_square: true,
  do_center_crop: null,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: SATELLITE.mean,
  image_processor_type: 'DINOv3ViTImageProcessorFast',
  image_std: SATELLITE.std,
  resample: 2,
  rescale_factor: 0.00392156862745098,
  size: { height: 224, width: 224 },
}
/** As timm writes it. */
const TIMM = {
  architecture: 'vit_large_patch16_dinov3',
  num_classes: 0,
  num_features: 1024,
  global_pool: 'avg',
  pretrained_cfg: { tag: 'sat493m', input_size: [3, 256, 256], interpolation: 'bicubic', ...SATELLITE },
}

let made = 0
/** A folder of Hugging Face's with these files of JSON, or text. Returns the path of its checkpoint. */
function huggingFace(files: Readonly<Record<string, unknown>>): string {
  const checkpoint = newFolder({ 'config.json': tinyConfig(), ...files })
  copyFileSync(fixture('tiny/backbone_hf.safetensors'), checkpoint)
  return checkpoint
}

/** The same with timm's names. The values of its tensors are all 0. */
function timm(files: Readonly<Record<string, unknown>>): string {
  const entries = entriesOf(fixture('tiny/backbone.safetensors'), (name) =>
    /periods|mask|qkv\.bias/.test(name)
      ? undefined
      : name
          .replace('storage_tokens', 'reg_token')
          .replace(/ls([12])\.gamma/, 'gamma_$1')
          .replace('mlp.w1', 'mlp.fc1_g')
          .replace('mlp.w2', 'mlp.fc1_x')
          .replace('mlp.w3', 'mlp.fc2'),
  )
  return writeSafetensors(newFolder(files), entries)
}

function newFolder(files: Readonly<Record<string, unknown>>): string {
  const at = join(folder, String(made++))
  mkdirSync(at)
  for (const [name, value] of Object.entries(files))
    writeFileSync(join(at, name), typeof value === 'string' ? value : JSON.stringify(value))
  return join(at, 'model.safetensors')
}

function tinyConfig(): unknown {
  return { num_attention_heads: 2, use_gated_mlp: true, hidden_act: 'silu' }
}

function found(path: string, options: BackboneOptions = {}) {
  return withFile(path, (file) => readBackbone(file, options).normalization)
}

describe('of Hugging Face', () => {
  test('is that of the preprocessor_config.json beside the checkpoint', () => {
    const path = huggingFace({ 'preprocessor_config.json': PROCESSOR })
    expect(found(path)).toEqual({ ...SATELLITE, from: 'file' })
    expect(inspectCheckpoint(path)).toMatchObject({
      normalization: { ...SATELLITE, from: 'file' },
      problems: [],
    })
  })

  test('is that of the file beside a config.json that is somewhere else', () => {
    const config = newFolder({ 'config.json': tinyConfig(), 'preprocessor_config.json': PROCESSOR })
    expect(found(huggingFace({}), { config: join(config, '../config.json') })).toEqual({
      ...SATELLITE,
      from: 'file',
    })
  })

  test("is ImageNet's without the file, and for a key that is not there or null, as in transformers", () => {
    expect(found(huggingFace({}))).toEqual({ ...IMAGENET, from: 'default' })
    const half = { image_mean: SATELLITE.mean, image_std: null, do_rescale: null }
    expect(found(huggingFace({ 'preprocessor_config.json': half }))).toEqual({
      mean: SATELLITE.mean,
      std: IMAGENET.std,
      from: 'file',
    })
  })

  test('of the option goes before the file, which is not read then', () => {
    const path = huggingFace({ 'preprocessor_config.json': 'no JSON' })
    const normalization = { mean: [0, 0, 0], std: [1, 1, 1] } as const
    expect(found(path, { normalization })).toEqual({ ...normalization, from: 'option' })
  })
})

describe('of timm', () => {
  test('is that of pretrained_cfg in the config.json beside the checkpoint', () => {
    expect(found(timm({ 'config.json': TIMM }))).toEqual({ ...SATELLITE, from: 'file' })
  })

  test("is ImageNet's without the file, and where it is not timm's", () => {
    for (const files of [{}, { 'config.json': { name: 'another program' } }])
      expect(found(timm(files))).toEqual({ ...IMAGENET, from: 'default' })
  })
})

test("a checkpoint with Meta's names has no such file, whatever lies beside it", () => {
  const path = newFolder({ 'preprocessor_config.json': PROCESSOR, 'config.json': TIMM })
  copyFileSync(fixture('tiny/backbone.safetensors'), path)
  expect(found(path)).toEqual({ ...IMAGENET, from: 'default' })
})

test('a head has none', () => {
  expect(inspectCheckpoint(fixture('tiny/head.safetensors')).normalization).toBe(null)
})

describe('a file that cannot be used is refused, and inspect tells it', () => {
  const long = Array<number>(100_000).fill(0.5)
  test.each<[string, unknown, string]>([
    ['no JSON', 'no JSON', 'is not valid JSON'],
    ['a list', [], 'is not a JSON object'],
    ['a deep list', `{"a":${'['.repeat(20_000)}`, 'is nested deeper'],
    ['a long file', `{"a":"${' '.repeat(1 << 20)}"}`, 'is longer than'],
    ['two numbers', { image_mean: [0.5, 0.5] }, 'has image_mean [0.5, 0.5], not three numbers from 0 to 1'],
    ['many numbers', { image_mean: long }, 'has image_mean [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, ...]'],
    ['one number', { image_std: 0.5 }, 'has image_std 0.5, not three numbers from 0.01 to 1'],
    ['an object', { image_mean: { toString: 1, length: 3 } }, 'has image_mean an object'],
    ['text', { image_mean: ['\u001b[31m', 0, 0] }, 'has image_mean ["\\u001b[31m", 0, 0]'],
    ['levels of bytes', { image_mean: [109, 104, 75] }, 'has image_mean [109, 104, 75]'],
    ['infinity', '{"image_mean":[1e999,0,0]}', 'has image_mean [Infinity, 0, 0]'],
    ['a deviation of 0', { image_std: [0.2, 0, 0.2] }, 'has image_std [0.2, 0, 0.2]'],
    ['a negative deviation', { image_std: [0.2, -1, 0.2] }, 'has image_std [0.2, -1, 0.2]'],
    ['no normalisation', { do_normalize: false }, 'has do_normalize false: only true is supported'],
    ['no scaling', { do_rescale: 'no' }, 'has do_rescale "no": only true is supported'],
    ['another scale', { rescale_factor: 1 }, 'has rescale_factor 1: only 1/255 is supported'],
    ['a scale of text', { rescale_factor: '1/255' }, 'has rescale_factor "1/255"'],
  ])('%s', (_, content, told) => {
    const path = huggingFace({ 'preprocessor_config.json': content })
    const file = join(path, '../preprocessor_config.json')
    const { message } = refusal(() => found(path), 'ERR_CHECKPOINT_FORMAT')
    expect(message).toContain(told)
    expect(message.length).toBeLessThanOrEqual(400)
    expect(inspectCheckpoint(path)).toMatchObject({ normalization: null, problems: [message] })
    expect(message).toContain(file.slice(-100))
  })

  test("of timm's", () => {
    const path = timm({ 'config.json': { pretrained_cfg: { mean: [0.4, 0.4, 2], std: SATELLITE.std } } })
    const { message } = refusal(() => found(path), 'ERR_CHECKPOINT_FORMAT')
    expect(message).toContain('config.json: has mean [0.4, 0.4, 2], not three numbers from 0 to 1')
  })

  test('a folder of that name', () => {
    const path = huggingFace({})
    mkdirSync(join(path, '../preprocessor_config.json'))
    refusal(() => found(path), 'ERR_IO')
  })
})
