import { describe, expect, test } from 'vitest'
import { readBackbone } from '../../lib/checkpoint/backbone.js'
import { checkPair, readHead } from '../../lib/checkpoint/head.js'
import { allValues, fixture, withFile } from './helpers.js'

const BACKBONE = {
  dim: 64,
  depth: 2,
  heads: 2,
  headDim: 32,
  ffn: 'swiglu',
  hidden: 128,
  patch: 16,
  storageTokens: 4,
}
const HEAD = { inChannels: 64, proj: 32, radius: 4, fusion: 48, layers: 2, up: 16, refine: 1 }

const backbone = withFile(fixture('tiny/backbone.safetensors'), (file) =>
  allValues(readBackbone(file).weights),
)
const head = withFile(fixture('tiny/head.safetensors'), (file) => allValues(readHead(file).weights))

describe('a backbone', () => {
  test.each(['backbone.safetensors', 'backbone.pth'])(
    '%s gives the architecture and every weight',
    (name) => {
      withFile(fixture(`tiny/${name}`), (file) => {
        const read = readBackbone(file)
        expect(read.config).toEqual(BACKBONE)
        expect(read.unused).toEqual([])
        expect(allValues(read.weights)).toEqual(backbone)
      })
    },
  )

  test('has the names and shapes that the engine asks for', () => {
    withFile(fixture('tiny/backbone.safetensors'), (file) => {
      const shapes = new Map(readBackbone(file).weights.map(({ name, shape }) => [name, shape]))
      expect(shapes.size).toBe(7 + 2 * 17)
      expect(shapes.get('cls_token')).toEqual([1, 1, 64])
      expect(shapes.get('storage_tokens')).toEqual([1, 4, 64])
      expect(shapes.get('patch_embed.proj.weight')).toEqual([64, 3, 16, 16])
      expect(shapes.get('rope_embed.periods')).toEqual([8])
      expect(shapes.get('blocks.1.attn.qkv.weight')).toEqual([192, 64])
      expect(shapes.get('blocks.1.attn.qkv.bias_mask')).toEqual([192])
      expect(shapes.get('blocks.1.mlp.w3.weight')).toEqual([64, 128])
      expect(shapes.has('mask_token')).toBe(false)
    })
  })

  test("Hugging Face's names give the same weights as Meta's, q, k and v joined and the k bias zero", () => {
    withFile(fixture('tiny/backbone_hf.safetensors'), (file) => {
      const read = readBackbone(file, { config: fixture('tiny/config_hf.json') })
      expect(read.config).toEqual(BACKBONE)
      expect(read.unused).toEqual([])
      expect(allValues(read.weights)).toEqual(masked(backbone))
      expect(read.weights.find(({ name }) => name === 'blocks.0.attn.qkv.weight')?.shape).toEqual([192, 64])
      expect(read.weights.find(({ name }) => name === 'blocks.0.attn.qkv.bias')?.shape).toEqual([192])
    })
  })
})

/** Meta's weights as Hugging Face stores them: the mask applied to the bias and gone, and no periods. */
function masked(weights: ReadonlyMap<string, Float32Array>): Map<string, Float32Array> {
  const out = new Map<string, Float32Array>()
  for (const [name, values] of weights) {
    if (name === 'rope_embed.periods' || name.endsWith('.bias_mask')) continue
    const mask = weights.get(`${name}_mask`)
    // `+ 0` turns the mask's -0 into 0.
    out.set(name, mask === undefined ? values : values.map((value, i) => value * (mask[i] ?? 0) + 0))
  }
  return out
}

describe('a head', () => {
  test.each(['head.safetensors', 'head.pth', 'head_nested.pth', 'head_legacy.pth'])(
    '%s gives the architecture and every weight',
    (name) => {
      withFile(fixture(`tiny/${name}`), (file) => {
        const read = readHead(file)
        expect(read.config).toEqual(HEAD)
        expect(read.unused).toEqual([])
        expect(allValues(read.weights)).toEqual(head)
      })
    },
  )

  test.each([
    ['head_fp16.pth', 'float16', 2 ** -11],
    ['head_bf16.pth', 'bfloat16', 2 ** -8],
  ] as const)('%s gives the same weights, rounded', (name, dtype, tolerance) => {
    withFile(fixture(`tiny/${name}`), (file) => {
      const read = readHead(file)
      expect(read.config).toEqual(HEAD)
      expect(file.tensors.get('proj1.weight')?.dtype).toBe(dtype)
      const values = allValues(read.weights)
      expect([...values.keys()]).toEqual([...head.keys()])
      for (const [weight, exact] of head) {
        const rounded = values.get(weight) ?? new Float32Array()
        expect(rounded.length).toBe(exact.length)
        const worst = exact.reduce(
          (most, x, i) => Math.max(most, Math.abs(x - (rounded[i] ?? NaN)) / (Math.abs(x) + 2 ** -13)),
          0,
        )
        expect(worst, weight).toBeLessThanOrEqual(tolerance)
      }
    })
  })

  test('goes with the backbone of its width, and only with that', () => {
    withFile(fixture('tiny/backbone.pth'), (backboneFile) =>
      withFile(fixture('tiny/head.pth'), (headFile) => {
        const made = { backbone: readBackbone(backboneFile), head: readHead(headFile) }
        expect(checkPair(made.backbone, made.head)).toBeUndefined()
        const wider = { ...made.backbone, config: { ...made.backbone.config, dim: 384 } }
        expect(() => checkPair(wider, made.head)).toThrow(/head\.pth.* 64 channels .*backbone\.pth gives 384/)
      }),
    )
  })
})
