import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { readHead } from '../../lib/checkpoint/head.js'
import { roleOf } from '../../lib/checkpoint/candidates.js'
import { nameTensors } from '../../lib/checkpoint/names.js'
import { type NestedIndex, numberBlocks } from '../../lib/checkpoint/nested-blocks.js'
import { entriesOf, fixture, refusal, scratch, withFile, writeSafetensors, type Entry } from './helpers.js'

const folder = scratch()
const META = fixture('tiny/backbone.safetensors')
const HUGGING_FACE = fixture('tiny/backbone_hf.safetensors')
const HEAD = fixture('tiny/head.safetensors')

let files = 0
function backboneOf(entries: Record<string, Entry>): ReturnType<typeof readBackbone> {
  return withFile(writeSafetensors(join(folder, `${files++}.safetensors`), entries), (file) =>
    readBackbone(file),
  )
}

describe('a prefix that training adds is removed', () => {
  test.each([
    'module.',
    '_orig_mod.',
    'backbone.',
    'teacher.backbone.',
    'module._orig_mod.',
    'model.backbone.',
  ])('%s', (prefix) => {
    const read = backboneOf(entriesOf(META, (name) => prefix + name))
    expect(read.config.depth).toBe(2)
    expect(read.weights).toHaveLength(41)
    expect(read.unused).toEqual([])
  })

  test('and the teacher is taken where there is a student too', () => {
    const entries = {
      ...entriesOf(META, (name) => `student.backbone.${name}`),
      ...entriesOf(META, (name) => `teacher.backbone.${name}`),
    }
    const read = backboneOf(entries)
    const used = read.weights.flatMap(({ parts }) =>
      parts.map((part) => ('zeros' in part ? '' : part.tensor.name)),
    )
    expect(used.every((name) => name.startsWith('teacher.backbone.'))).toBe(true)
    expect(read.unused.every((name) => name.startsWith('student.backbone.'))).toBe(true)
    expect(read.unused).toHaveLength(42)
  })

  test('also if their names are of different layouts, which have different numbers of tensors', () => {
    const read = backboneOf({
      ...entriesOf(HUGGING_FACE, (name) => `student.${name}`),
      ...entriesOf(META, (name) => `teacher.${name}`),
    })
    expect(read.choice).toMatchObject({ prefix: 'teacher.', others: [{ prefix: 'student.' }] })
    expect(read.choice.weights).toBe(read.choice.others[0]?.weights)
  })
})

describe('the names of transformers and timm', () => {
  const timm = (name: string): string =>
    name.replace(/ls([12])\.gamma/, 'gamma_$1').replace('storage_tokens', 'reg_token')
  const qkv = (name: string): string | undefined =>
    /bias_mask|periods|qkv\.bias/.test(name) ? undefined : timm(name)
  test.each<[string, string, (name: string) => string | undefined]>([
    ['transformers', HUGGING_FACE, (name) => name.replace(/^layer\.\d+\./, '$&_orig_mod.')],
    ['transformers 5', HUGGING_FACE, (name) => name.replace(/^layer\./, 'model.layer.')],
    ['timm', META, qkv],
    ['timm', META, (name) => qkv(name)?.replace(/^blocks\.\d+\./, '$&module.')],
  ])('%s may have a prefix and wrappers, too', (_layout, path, rename) => {
    const plain = backboneOf(entriesOf(path, path === META ? qkv : undefined))
    for (const prefix of ['', 'encoder.', 'model.', 'module.backbone.model.']) {
      const read = backboneOf(
        entriesOf(path, (name) => {
          const renamed = rename(name)
          return renamed === undefined ? undefined : prefix + renamed
        }),
      )
      expect(read.weights.map(({ name, shape }) => [name, shape])).toEqual(
        plain.weights.map(({ name, shape }) => [name, shape]),
      )
      expect(read.unused).toEqual([])
      expect(read.choice).toMatchObject({ prefix, role: 'model', others: [] })
    }
  })
})

describe('the role of a model is told by its prefix', () => {
  test.each([
    ['model_ema.', 'average'],
    ['modelEMA.', 'average'],
    ['EMAModel.net.', 'average'],
    ['ema_model.module.', 'average'],
    ['averaged-model.', 'average'],
    ['teacher_embedding_model.wrapped_model._model.', 'teacher'],
    ['momentum_encoder.', 'teacher'],
    ['student.backbone.', 'student'],
    ['online_network.', 'student'],
    ['ema.ema_model.', 'average'],
    ['ema.online_model.', 'student'],
    ['student.ema.', 'average'],
    ['exp_moving_avg.', 'average'],
    ['ewma.', 'average'],
    ['exp_avg.', 'other'],
    ['state.max_exp_avg_sq.', 'other'],
    ['optimizer.exp_avg.', 'other'],
    ['ema.optimizer.', 'other'],
    ['gram_teacher.', 'other'],
    ['schema.', 'model'],
    ['', 'model'],
    ['module.', 'model'],
  ])('%s is %s', (prefix, role) => {
    expect(roleOf(prefix, new Map())).toBe(role)
  })

  test('or by n_averaged beside module', () => {
    const names = new Map([['swa.n_averaged', 1]])
    expect(roleOf('swa.module.', names)).toBe('average')
    expect(roleOf('a.module.', new Map([['a.n_averaged', 1]]))).toBe('average')
    expect(roleOf('a.', new Map([['a.n_averaged', 1]]))).toBe('model')
  })
})

test('weights that must be computed from what is stored are missing, and the message says what to do', () => {
  const path = writeSafetensors(
    join(folder, 'lora.safetensors'),
    entriesOf(HEAD, (name) => name.replace('proj1.weight', 'proj1.parametrizations.weight.original')),
  )
  const { message } = refusal(() => withFile(path, readHead), 'ERR_CHECKPOINT_TENSOR')
  expect(message).toMatch(
    /"proj1\.weight" is missing; merge parametrizations .* before saving: it has "proj1\.parametrizations\.weight\.original"/,
  )
})

describe('blocks in a list of lists', () => {
  const indices = (names: readonly string[]): number[] => {
    const numberOf = numberBlocks(names.map(split))
    return names.map((name) => numberOf(split(name)))
  }
  const split = (name: string): NestedIndex => {
    const [outer = '', inner = ''] = name.split('.')
    return [Number(outer), Number(inner)]
  }
  test.each<[string, string[], number[]]>([
    ['count on', ['0.0', '0.1', '1.2', '1.3'], [0, 1, 2, 3]],
    ['count on, in any order', ['1.3', '0.0', '1.2', '0.1'], [3, 0, 2, 1]],
    ['are in one list', ['0.0', '0.1', '0.2'], [0, 1, 2]],
    ['are each alone', ['0.0', '1.0', '2.0', '10.0'], [0, 1, 2, 10]],
    ['count from 0 in every list', ['0.0', '0.1', '0.2', '1.0', '1.1', '2.0'], [0, 1, 2, 3, 4, 5]],
    ['keep the number of one that is not there', ['0.0', '1.2'], [0, 2]],
  ])('%s', (_, names, expected) => {
    expect(indices(names)).toEqual(expected)
  })

  test('are no layers of a head: its name would be ambiguous', () => {
    const path = writeSafetensors(
      join(folder, 'nested-head.safetensors'),
      entriesOf(HEAD, (name) => name.replace('.net.1.', '.net.1.3.')),
    )
    refusal(() => withFile(path, readHead), 'ERR_CHECKPOINT_TENSOR')
  })
})

describe('one file of both', () => {
  const path = writeSafetensors(join(folder, 'both.safetensors'), {
    ...entriesOf(META, (name) => `backbone.${name}`),
    ...entriesOf(HEAD, (name) => `head.${name}`),
  })

  test('is read by either reader, and neither calls the other unused', () => {
    withFile(path, (file) => {
      const backbone = readBackbone(file)
      const head = readHead(file)
      expect(backbone.config.dim).toBe(64)
      expect(head.config.fusion).toBe(48)
      expect([...backbone.unused, ...head.unused]).toEqual([])
    })
  })
})

describe("Hugging Face's names", () => {
  const config = fixture('tiny/config_hf.json')
  const change = (name: string, edit: Record<string, unknown>): string => {
    const path = join(folder, name)
    const base = {
      model_type: 'dinov3_vit',
      hidden_size: 64,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      use_gated_mlp: true,
      hidden_act: 'silu',
    }
    writeFileSync(path, JSON.stringify({ ...base, ...edit }))
    return path
  }

  test('of transformers 5 (`model.layer`) are read as the older ones', () => {
    const renamed = entriesOf(HUGGING_FACE, (name) => (name.startsWith('layer.') ? `model.${name}` : name))
    expect(backboneOf(renamed).weights.map(({ name }) => name)).toEqual(
      withFile(HUGGING_FACE, (file) => readBackbone(file, { config })).weights.map(({ name }) => name),
    )
  })

  test('of an FFN without a gate are those of the MLP', () => {
    const plain = entriesOf(HUGGING_FACE, (name) => (name.includes('gate_proj') ? undefined : name))
    const read = backboneOf(plain)
    expect(read.config).toMatchObject({ ffn: 'mlp', hidden: 128 })
    expect(read.weights.map(({ name }) => name)).toContain('blocks.1.mlp.fc2.weight')
  })

  test('take the heads from the config.json beside the file, also where the folder is given', () => {
    const model = scratch()
    copyFileSync(HUGGING_FACE, join(model, 'model.safetensors'))
    expect(withFile(model, (file) => readBackbone(file)).config.heads).toBe(1)
    copyFileSync(config, join(model, 'config.json'))
    expect(withFile(model, (file) => readBackbone(file)).config).toMatchObject({ heads: 2, headDim: 32 })
  })

  test('of an uncommon width need the config.json', () => {
    const wider = Object.entries(entriesOf(HUGGING_FACE)).map(([name, { shape }]) => [
      name,
      { shape: shape.map((n) => (n === 64 ? 96 : n)) },
    ])
    const path = writeSafetensors(join(folder, 'odd.safetensors'), Object.fromEntries(wider))
    const { message } = refusal(() => withFile(path, (file) => readBackbone(file)), 'ERR_CHECKPOINT_TENSOR')
    expect(message).toMatch(
      /width of 96, for which the number of heads is not known: the config\.json beside/,
    )
  })

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['another RoPE', { rope_theta: 10000 }, /rope_theta 10000: only 100 is supported/],
    ['another RoPE, as transformers 5 writes it', { rope_parameters: { rope_theta: 50 } }, /rope_theta 50/],
    ['another epsilon', { layer_norm_eps: 1e-6 }, /layer_norm_eps 0\.000001/],
    ['another activation', { hidden_act: 'gelu' }, /hidden_act "gelu": only silu/],
    ['another model', { model_type: 'dinov2' }, /model of type "dinov2"/],
    ['no heads', { num_attention_heads: undefined }, /no num_attention_heads/],
    ['minus two heads', { num_attention_heads: -2 }, /num_attention_heads -2/],
  ])('with %s in the config.json are refused', (name, edit, message) => {
    const path = change(`${name}.json`, edit)
    const { message: text } = refusal(
      () => withFile(HUGGING_FACE, (file) => readBackbone(file, { config: path })),
      'ERR_CHECKPOINT_FORMAT',
    )
    expect(text).toMatch(message)
    expect(text).toContain(path)
  })

  test('with the config.json of another size are refused', () => {
    const path = change('large.json', { hidden_size: 384 })
    const { message } = refusal(
      () => withFile(HUGGING_FACE, (file) => readBackbone(file, { config: path })),
      'ERR_CHECKPOINT_TENSOR',
    )
    expect(message).toMatch(/gives 64 where .*large\.json says hidden_size 384/)
  })
})

describe("a qkv bias that no block has is zero, as in DINOv3's largest model", () => {
  test('under either layout', () => {
    for (const path of [META, HUGGING_FACE]) {
      const read = backboneOf(
        entriesOf(path, (name) => (/(qkv|[qv]_proj)\.bias/.test(name) ? undefined : name)),
      )
      const bias = read.weights.find(({ name }) => name === 'blocks.1.attn.qkv.bias')
      expect(bias?.shape).toEqual([192])
      expect(bias?.parts.map((part) => ('zeros' in part ? part.zeros : NaN)).reduce((a, b) => a + b)).toBe(
        192,
      )
    }
  })
})

describe('what is no part of a model', () => {
  test('is listed, but not what only training needs', () => {
    const read = backboneOf({
      ...entriesOf(META),
      'local_cls_norm.weight': { shape: [64] },
      lr: { shape: [] },
    })
    expect(read.unused).toEqual(['local_cls_norm.weight', 'lr'])
  })

  test('does not make a backbone of a model that merely has a norm', () => {
    const path = writeSafetensors(join(folder, 'norm.safetensors'), { 'norm.weight': { shape: [64] } })
    expect(withFile(path, nameTensors).backbone).toBeUndefined()
  })
})

describe("every DINOv3 ViT's architecture is derived", () => {
  const block = (dim: number, hidden: number, ffn: 'swiglu' | 'mlp'): Record<string, Entry> => ({
    'norm1.weight': { shape: [dim] },
    'norm1.bias': { shape: [dim] },
    'attn.qkv.weight': { shape: [3 * dim, dim] },
    'attn.qkv.bias': { shape: [3 * dim] },
    'attn.qkv.bias_mask': { shape: [3 * dim] },
    'attn.proj.weight': { shape: [dim, dim] },
    'attn.proj.bias': { shape: [dim] },
    'ls1.gamma': { shape: [dim] },
    'norm2.weight': { shape: [dim] },
    'norm2.bias': { shape: [dim] },
    'ls2.gamma': { shape: [dim] },
    ...Object.fromEntries(
      (ffn === 'swiglu' ? ['w1', 'w2'] : ['fc1']).flatMap((name) => [
        [`mlp.${name}.weight`, { shape: [hidden, dim] }],
        [`mlp.${name}.bias`, { shape: [hidden] }],
      ]),
    ),
    [`mlp.${ffn === 'swiglu' ? 'w3' : 'fc2'}.weight`]: { shape: [dim, hidden] },
    [`mlp.${ffn === 'swiglu' ? 'w3' : 'fc2'}.bias`]: { shape: [dim] },
  })

  test.each([
    ['vits16', 384, 12, 6, 'mlp', 1536, 16],
    ['vits16plus', 384, 12, 6, 'swiglu', 1536, 16],
    ['vitl16', 1024, 24, 16, 'mlp', 4096, 16],
    ['vith16plus', 1280, 32, 20, 'swiglu', 5120, 16],
    ['vit7b16', 4096, 40, 32, 'swiglu', 8192, 16],
    ['a patch of 14', 384, 12, 6, 'mlp', 1536, 14],
  ] as const)('%s', (_name, dim, depth, heads, ffn, hidden, patch) => {
    const entries: Record<string, Entry> = {
      cls_token: { shape: [1, 1, dim] },
      storage_tokens: { shape: [1, 4, dim] },
      mask_token: { shape: [1, dim] },
      'patch_embed.proj.weight': { shape: [dim, 3, patch, patch] },
      'patch_embed.proj.bias': { shape: [dim] },
      'rope_embed.periods': { shape: [dim / heads / 4], dtype: 'BF16' },
      'norm.weight': { shape: [dim] },
      'norm.bias': { shape: [dim] },
    }
    for (let i = 0; i < depth; i++)
      for (const [name, entry] of Object.entries(block(dim, hidden, ffn)))
        entries[`blocks.${i}.${name}`] = entry
    const config = { dim, depth, heads, headDim: dim / heads, ffn, hidden, patch, storageTokens: 4 }
    expect(backboneOf(entries).config).toEqual(config)
  })
})
