import { ropePeriods } from '../checkpoint/rope-periods.js'
import type { Normalization } from '../checkpoint/normalization.js'
import type { BackboneConfig } from '../checkpoint/tensor.js'
import type { NamedValues, Weights } from '../checkpoint/weights.js'
import type { RopePeriods } from '../load.js'
import { embedding, embeddingOfImageNet } from './embedding.js'
import { type Graph, TO_END } from './graph.js'
import type { FixedGrid, GraphGrid } from './grid.js'
import { padded, product, transposed } from './rearrange.js'
import { rope, type Rope, ropeOfGrid } from './rope.js'

const NORM_EPSILON = 1e-5

/** The backbone's part of a graph: what `buildBackbone` needs to know. */
export interface BackbonePart {
  readonly config: BackboneConfig
  readonly weights: Weights
  readonly ropePeriods: RopePeriods | undefined
}

/**
 * A DINOv3 vision transformer in the form that TensorRT gets right: RoPE by slices and concatenation on the patches only, q scaled
 * before the product, MatMul, Softmax, MatMul, and LayerNormalization as one operator.
 *
 * @param image - normalised pictures, [batch, 3, H, W], float32
 * @returns features, [batch, dim, h, w], float32
 */
export function buildBackbone(
  g: Graph,
  part: BackbonePart,
  grid: GraphGrid,
  image: string,
  batch: number,
): string {
  const { config, weights } = part
  const { patch } = config
  const first = embedding(weights)
  const map = g.op('Conv', [g.half(image), g.parameter(first.weight), g.parameter(first.bias)], {
    kernel_shape: [patch, patch],
    strides: [patch, patch],
  })
  const patches = g.transpose(g.reshape(map, [0, 0, -1]), [0, 2, 1])
  const angles = rope(g, periodsOf(part), grid, map)
  const channels = g.transpose(encode(g, part, angles, patches, batch), [0, 2, 1])
  if (grid !== 'dynamic') return g.reshape(channels, [0, 0, grid.height, grid.width])
  return g.reshape(channels, g.concat([g.integers([0, 0]), g.slice(g.op('Shape', [map]), 0, 2, 4)], 0))
}

/**
 * As {@link buildBackbone}, from the pixels of one picture's patches on, where a convolution is a product.
 *
 * @param patches - [h * w, {@link patchColumns}], in the precision of products: pixels normalised by ImageNet's numbers, a row for
 *   each patch, channel by channel, each row by row
 * @param normalization - what the backbone expects
 * @returns features, [h * w, dim], float32
 */
export function buildBackboneOfPatches(
  g: Graph,
  part: BackbonePart,
  grid: FixedGrid,
  patches: string,
  normalization: Normalization,
): string {
  const { config, weights } = part
  const first = embeddingOfImageNet(embedding(weights), normalization)
  const weight = padded(transposed(first.weight), patchColumns(config))
  const product = g.op('MatMul', [patches, g.parameter(weight)])
  const embedded = g.op('Add', [product, g.parameter(first.bias)])
  const count = grid.height * grid.width
  const angles = ropeOfGrid(g, periodsOf(part), grid)
  const features = encode(g, part, angles, g.reshape(embedded, [1, count, config.dim]), 1)
  return g.reshape(features, [count, config.dim])
}

/** Columns of a matrix of patches: the values of a patch, rounded up to a multiple of 16. Those beyond the values do not count. */
export function patchColumns({ patch }: BackboneConfig): number {
  return 16 * Math.ceil((3 * patch * patch) / 16)
}

function periodsOf({ config, weights, ropePeriods: type }: BackbonePart): Float32Array {
  return ropePeriods(config, weights, type)
}

/**
 * The transformer itself.
 *
 * @param patches - embedded, [batch, patches, dim], in the precision of products
 * @returns features, [batch, patches, dim], float32
 */
function encode(
  g: Graph,
  { config, weights }: BackbonePart,
  angles: Rope,
  patches: string,
  batch: number,
): string {
  const prefix = 1 + config.storageTokens
  const tokens = g.parameter(prefixTokens(weights, [batch, prefix, config.dim]), 'float32')
  let x = g.concat([tokens, g.full(patches)], 1)
  for (let i = 0; i < config.depth; i++) x = block(g, `blocks.${i}`, config, weights, angles, x)
  return norm(g, 'norm', weights, g.slice(x, 1, prefix, TO_END))
}

/** The class token and the storage tokens, for each picture. */
function prefixTokens(weights: Weights, shape: readonly [number, number, number]): NamedValues {
  const read = () => {
    const names = shape[1] > 1 ? ['cls_token', 'storage_tokens'] : ['cls_token']
    const once = names.flatMap((name) => [...weights.values(name)])
    return Float32Array.from({ length: shape[0] * once.length }, (_, i) => once[i % once.length]!)
  }
  return { name: 'prefix_tokens', shape, read }
}

function block(
  g: Graph,
  name: string,
  config: BackboneConfig,
  weights: Weights,
  angles: Rope,
  x: string,
): string {
  const feed = config.ffn === 'swiglu' ? swiglu : mlp
  const attended = attention(g, name, config, weights, angles, norm(g, `${name}.norm1`, weights, x))
  const y = residual(g, `${name}.ls1`, weights, x, attended)
  return residual(
    g,
    `${name}.ls2`,
    weights,
    y,
    feed(g, `${name}.mlp`, weights, norm(g, `${name}.norm2`, weights, y)),
  )
}

/** float32 to float32. */
function norm(g: Graph, name: string, weights: Weights, x: string): string {
  const [scale, bias] = ['weight', 'bias'].map((leaf) =>
    g.parameter(weights.get(`${name}.${leaf}`), 'float32'),
  )
  return g.op('LayerNormalization', [x, scale!, bias!], { axis: -1, epsilon: { float: NORM_EPSILON } })
}

/** x + gamma * branch, in float32. */
function residual(g: Graph, name: string, weights: Weights, x: string, branch: string): string {
  const gamma = g.parameter(weights.get(`${name}.gamma`), 'float32')
  return g.op('Add', [x, g.op('Mul', [g.full(branch), gamma])])
}

function linear(g: Graph, name: string, weights: Weights, x: string, bias?: NamedValues): string {
  const product = g.op('MatMul', [x, g.parameter(transposed(weights.get(`${name}.weight`)))])
  return g.op('Add', [product, g.parameter(bias ?? weights.get(`${name}.bias`))])
}

function attention(
  g: Graph,
  block: string,
  { dim, heads, headDim, storageTokens }: BackboneConfig,
  weights: Weights,
  angles: Rope,
  x: string,
): string {
  const name = `${block}.attn.qkv`
  const bias = weights.has(`${name}.bias_mask`)
    ? product(weights.get(`${name}.bias`), weights.get(`${name}.bias_mask`))
    : weights.get(`${name}.bias`)
  const [q, k, v] = g.split(linear(g, name, weights, g.half(x), bias), 2, 3).map((part) =>
    // [batch, heads, tokens, headDim]
    g.transpose(g.reshape(part, [0, 0, heads, headDim]), [0, 2, 1, 3]),
  )
  const scaled = g.op('Mul', [q!, g.constant('attention_scale', [headDim ** -0.5])])
  const prefix = 1 + storageTokens
  const turned = [scaled, k!].map((part) => rotatePatches(g, angles, headDim, prefix, part))
  const scores = g.op('MatMul', [turned[0]!, g.transpose(turned[1]!, [0, 1, 3, 2])])
  const shares = g.half(g.op('Softmax', [g.full(scores)], { axis: -1 }))
  const attended = g.reshape(g.transpose(g.op('MatMul', [shares, v!]), [0, 2, 1, 3]), [0, 0, dim])
  return linear(g, `${block}.attn.proj`, weights, attended)
}

/** Rotates the pairs (i, i + headDim / 2) of the patches; class and storage tokens stay as they are. */
function rotatePatches(g: Graph, { cos, sin }: Rope, headDim: number, prefix: number, x: string): string {
  const patches = g.slice(x, 2, prefix, TO_END)
  const [first, second] = [g.slice(patches, 3, 0, headDim / 2), g.slice(patches, 3, headDim / 2, headDim)]
  const swapped = g.concat([g.op('Neg', [second]), first], 3)
  const turned = g.op('Add', [g.op('Mul', [patches, cos]), g.op('Mul', [swapped, sin])])
  return g.concat([g.slice(x, 2, 0, prefix), turned], 2)
}

/** w3(silu(w1 x) * w2 x). */
function swiglu(g: Graph, name: string, weights: Weights, x: string): string {
  const input = g.half(x)
  const gate = g.silu(linear(g, `${name}.w1`, weights, input))
  return linear(g, `${name}.w3`, weights, g.op('Mul', [gate, linear(g, `${name}.w2`, weights, input)]))
}

/** fc2(gelu(fc1 x)), the exact GELU: x (1 + erf(x / sqrt 2)) / 2. */
function mlp(g: Graph, name: string, weights: Weights, x: string): string {
  const hidden = linear(g, `${name}.fc1`, weights, g.half(x))
  const erf = g.op('Erf', [g.op('Mul', [hidden, g.constant('1/sqrt(2)', [Math.SQRT1_2])])])
  const half = g.op('Mul', [hidden, g.constant('0.5', [0.5])])
  return linear(g, `${name}.fc2`, weights, g.op('Mul', [half, g.op('Add', [erf, g.constant('1', [1])])]))
}
