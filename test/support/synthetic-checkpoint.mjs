/**
 * Synthetic checkpoints. Every value follows from its tensor's name and index, so a model of any size needs no download, and
 * an oracle in another language can make the same model.
 *
 *     value(name, i) = centre + spread * u,   u = (splitmix64(fnv1a64(name) + i) >> 40) / 2^23 - 1,   as float32
 *
 * These models cannot see motion. They are for tests of arithmetic and of speed.
 *
 *     node test/support/synthetic-checkpoint.mjs dinov3_vits16plus backbone.safetensors
 *     node test/support/synthetic-checkpoint.mjs head:seed head.safetensors [channels of the backbone = 384]
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Backbones by name. */
export const BACKBONES = {
  tiny: { dim: 64, depth: 2, heads: 2, hidden: 128, ffn: 'swiglu' },
  tiny_mlp: { dim: 96, depth: 3, heads: 3, hidden: 256, ffn: 'mlp' },
  tiny_wide: { dim: 256, depth: 1, heads: 4, hidden: 256, ffn: 'mlp' },
  dinov3_vits16: { dim: 384, depth: 12, heads: 6, hidden: 1536, ffn: 'mlp' },
  dinov3_vits16plus: { dim: 384, depth: 12, heads: 6, hidden: 1536, ffn: 'swiglu' },
  dinov3_vitb16: { dim: 768, depth: 12, heads: 12, hidden: 3072, ffn: 'mlp' },
  dinov3_vitl16: { dim: 1024, depth: 24, heads: 16, hidden: 4096, ffn: 'mlp' },
}

/** Flow heads by name. */
export const HEADS = {
  tiny: { proj: 32, radius: 4, fusion: 48, layers: 2, up: 16, refine: 1 },
  tiny_r3: { proj: 24, radius: 3, fusion: 40, layers: 1, up: 16, refine: 0 },
  seed: { proj: 256, radius: 4, fusion: 320, layers: 3, up: 16, refine: 2 },
}

const PATCH = 16
const STORAGE_TOKENS = 4

/** Writes a backbone of {@link BACKBONES} as safetensors. `replaced` has other values for some tensors, by name. */
export function writeBackbone(name, path, replaced = new Map()) {
  const tensors = [...backboneTensors(pick(BACKBONES, name))]
  writeSafetensors(
    path,
    tensors.map(([tensor, shape, values]) => [tensor, shape, replaced.get(tensor) ?? values]),
  )
}

/** Writes a head of {@link HEADS} for features of `channels` as safetensors. */
export function writeHead(name, path, channels) {
  writeSafetensors(path, headTensors(pick(HEADS, name), channels))
}

function pick(table, name) {
  if (!(name in table)) throw new Error(`unknown model ${name}: known are ${Object.keys(table).join(', ')}`)
  return table[name]
}

// ---- names and shapes -------------------------------------------------------------------------------------------------

/** [name, shape, values]. Values that are left out follow the rule above. */
function* backboneTensors({ dim, depth, heads, hidden, ffn }) {
  const linear = function* (name, out, input) {
    yield [`${name}.weight`, [out, input]]
    yield [`${name}.bias`, [out]]
  }
  const norm = function* (name) {
    yield [`${name}.weight`, [dim]]
    yield [`${name}.bias`, [dim]]
  }
  yield ['cls_token', [1, 1, dim]]
  yield ['storage_tokens', [1, STORAGE_TOKENS, dim]]
  yield ['mask_token', [1, dim]]
  yield ['patch_embed.proj.weight', [dim, 3, PATCH, PATCH]]
  yield ['patch_embed.proj.bias', [dim]]
  const periods = dim / heads / 4
  yield ['rope_embed.periods', [periods], Float32Array.from({ length: periods }, ropePeriod(2 * periods))]
  for (let i = 0; i < depth; i++) {
    const block = `blocks.${i}`
    yield* norm(`${block}.norm1`)
    yield* linear(`${block}.attn.qkv`, 3 * dim, dim)
    yield [`${block}.attn.qkv.bias_mask`, [3 * dim], new Float32Array(3 * dim).fill(1).fill(0, dim, 2 * dim)]
    yield* linear(`${block}.attn.proj`, dim, dim)
    yield [`${block}.ls1.gamma`, [dim]]
    yield* norm(`${block}.norm2`)
    const [first, last] = ffn === 'swiglu' ? [['w1', 'w2'], 'w3'] : [['fc1'], 'fc2']
    for (const layer of first) yield* linear(`${block}.mlp.${layer}`, hidden, dim)
    yield* linear(`${block}.mlp.${last}`, dim, hidden)
    yield [`${block}.ls2.gamma`, [dim]]
  }
  yield* norm('norm')
}

/** DINOv3's RoPE: 100^(2j / half). The exponent is a float32, as PyTorch computes it. */
function ropePeriod(half) {
  return (_, j) => 100 ** Math.fround((2 * j) / half)
}

function* headTensors({ proj, radius, fusion, layers, up, refine }, channels) {
  const batchNorm = function* (name, n) {
    for (const leaf of ['weight', 'bias', 'running_mean', 'running_var']) yield [`${name}.${leaf}`, [n]]
  }
  const convolution = function* (name, out, input, side) {
    yield [`${name}.weight`, [out, input, side, side]]
    yield [`${name}.bias`, [out]]
  }
  const separable = function* (name, input, out) {
    yield [`${name}.dw.weight`, [input, 1, 3, 3]]
    yield [`${name}.pw.weight`, [out, input, 1, 1]]
    yield* batchNorm(`${name}.bn`, out)
  }
  const squeezeExcite = function* (name) {
    const squeezed = Math.max(1, Math.floor(fusion / 8))
    yield* convolution(`${name}.fc1`, squeezed, fusion, 1)
    yield* convolution(`${name}.fc2`, fusion, squeezed, 1)
  }
  const trunk = function* (name, groups) {
    for (let i = 0; i < groups; i++) {
      yield* separable(`${name}.net.${3 * i}`, fusion, fusion)
      yield* squeezeExcite(`${name}.net.${3 * i + 1}`)
      yield* separable(`${name}.net.${3 * i + 2}`, fusion, fusion)
    }
  }
  for (const i of [1, 2]) {
    yield [`proj${i}.weight`, [proj, channels, 1, 1]]
    yield* batchNorm(`bn${i}`, proj)
  }
  yield* separable('fuse_in.0', 3 * proj + (2 * radius + 1) ** 2, fusion)
  yield* squeezeExcite('fuse_in.1')
  yield* trunk('fuse_trunk', layers)
  yield* separable('flow_head.0', fusion, fusion)
  yield* convolution('flow_head.1', 2, fusion, 1)
  if (refine > 0) {
    yield* separable('refine.0', fusion + 2, fusion)
    yield* trunk('refine.1', refine)
    yield* convolution('refine.2', 2, fusion, 1)
  }
  yield* convolution('convex_upsampler.mask_head.0', fusion, fusion, 3)
  yield* convolution('convex_upsampler.mask_head.2', 9 * up * up, fusion, 1)
}

// ---- values -----------------------------------------------------------------------------------------------------------

/** Centre and spread of a tensor's values: chosen so that activations stay of the order of 1 through any depth. */
function distribution(name, shape) {
  const leaf = name.slice(name.lastIndexOf('.') + 1)
  if (leaf.endsWith('_token') || leaf.endsWith('_tokens')) return [0, 0.5]
  if (leaf === 'gamma') return [0.3, 0.2]
  if (leaf === 'running_var') return [1, 0.5]
  if (leaf === 'weight' && /(^|\.)(norm|norm1|norm2|bn|bn1|bn2)\.weight$/.test(name)) return [1, 0.3]
  if (leaf === 'bias' || leaf === 'running_mean') return [0, 0.2]
  const inputs = shape.slice(1).reduce((product, n) => product * n, 1)
  const gain = /\.[dp]w\.weight$/.test(name) ? 1.5 : name.includes('mask_head.') ? 2 : 1
  return [0, gain * Math.sqrt(3 / inputs)]
}

/** The values of a tensor, by the rule above. */
export function syntheticValues(name, shape) {
  const values = new Float32Array(shape.reduce((product, n) => product * n, 1))
  const [centre, spread] = distribution(name, shape)
  const seed = fnv1a64(name)
  const seedHigh = Number(seed >> 32n)
  const seedLow = Number(seed & 0xffffffffn)
  for (let i = 0; i < values.length; i++) {
    const low = seedLow + i
    const random = splitmix64High(seedHigh + (low > 0xffffffff ? 1 : 0), low >>> 0) >>> 8
    values[i] = centre + spread * (random / 2 ** 23 - 1)
  }
  return values
}

function fnv1a64(text) {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

/** The upper half of splitmix64(high * 2^32 + low), on 32-bit halves: BigInt takes minutes for a full model. */
function splitmix64High(high, low) {
  const sum = low + 0x7f4a7c15
  let h = (high + 0x9e3779b9 + (sum > 0xffffffff ? 1 : 0)) | 0
  let l = sum | 0

  let xh = h ^ (h >>> 30)
  let xl = l ^ ((l >>> 30) | (h << 2))
  h = (multiplyHigh(xl, 0x1ce4, 0xe5b9) + Math.imul(xh, 0x1ce4e5b9) + Math.imul(xl, 0xbf58476d)) | 0
  l = Math.imul(xl, 0x1ce4e5b9)

  xh = h ^ (h >>> 27)
  xl = l ^ ((l >>> 27) | (h << 5))
  h = (multiplyHigh(xl, 0x1331, 0x11eb) + Math.imul(xh, 0x133111eb) + Math.imul(xl, 0x94d049bb)) | 0

  return h ^ (h >>> 31)
}

/** The upper 32 bits of a * (high * 2^16 + low). */
function multiplyHigh(a, high, low) {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const middle = aHigh * low + ((aLow * low) >>> 16)
  const rest = aLow * high + (middle & 0xffff)
  return aHigh * high + (middle >>> 16) + (rest >>> 16)
}

// ---- the file ---------------------------------------------------------------------------------------------------------

function writeSafetensors(path, tensors) {
  const list = [...tensors]
  const header = {}
  let end = 0
  for (const [name, shape] of list) {
    const start = end
    end += 4 * shape.reduce((product, n) => product * n, 1)
    header[name] = { dtype: 'F32', shape, data_offsets: [start, end] }
  }
  const json = Buffer.from(JSON.stringify(header))
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))

  const file = openSync(path, 'w')
  try {
    writeSync(file, length)
    writeSync(file, padded)
    for (const [name, shape, values = syntheticValues(name, shape)] of list)
      writeSync(file, new Uint8Array(values.buffer))
  } finally {
    closeSync(file)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [what, path, channels = '384'] = process.argv.slice(2)
  if (what === undefined || path === undefined) throw new Error('give a model and a path')
  if (what.startsWith('head:')) writeHead(what.slice(5), path, Number(channels))
  else writeBackbone(what, path)
}
