import { Collector, type ExpectedShape } from './collector.js'
import { type HuggingFaceConfig, readConfig, readConfigBeside } from './hf-config.js'
import { type NamedModel, type NamedTensors, nameTensors } from './names.js'
import { findNormalization, type FoundNormalization, type Normalization } from './normalization.js'
import { type Plan, type ReadyModel, finishPlan, notThere, requireReady } from './plan.js'
import type { BackboneConfig, CheckpointFile, WeightPart } from './tensor.js'

const MOST = { dim: 8192, depth: 64, hidden: 32768, headDim: 256, patch: 64, storageTokens: 64 }

/** Channels per head of every DINOv3 model except the one with 7 billion parameters. */
const USUAL_HEAD_DIM = 64
const WIDEST_USUAL_DIM = 1280

export interface BackboneOptions {
  /** Path of a Hugging Face `config.json`. Default: the one beside the checkpoint, if that has Hugging Face's names. */
  readonly config?: string | undefined
  /** As in `nameTensors`. */
  readonly prefix?: string | undefined
  /** Default: that of the files beside the checkpoint, else ImageNet's. */
  readonly normalization?: Normalization | undefined
}

/** A backbone that can be loaded, and the scale of pixels that it expects. */
export interface ReadyBackbone extends ReadyModel<BackboneConfig> {
  readonly normalization: FoundNormalization
}

/**
 * Derives a DINOv3 ViT's architecture from the shapes in a file, and finds all its weights. Meta's names and
 * those of transformers and timm are understood; a file may hold the head as well.
 *
 * @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if a tensor is missing or does not fit; the message names file, tensor and
 *   reason; `ERR_CHECKPOINT_FORMAT` or `ERR_IO` if a file beside it cannot be used; `ERR_ARGUMENT` for `normalization`
 */
export function readBackbone(file: CheckpointFile, options: BackboneOptions = {}): ReadyBackbone {
  const named = nameTensors(file, options.prefix)
  if (named.backbone === undefined) throw notThere(named, 'backbone', options.prefix)
  const hints = backboneHints(named, named.backbone, options)
  const normalization = findNormalization(named.path, named.backbone.layout, options)
  const ready = requireReady(named, named.backbone, planBackbone(file, named, named.backbone, hints))
  return { ...ready, normalization }
}

/**
 * Reads the `config.json` that belongs to a file.
 *
 * @throws {FlowError} as `readConfig`
 */
export function backboneHints(
  named: NamedTensors,
  model: NamedModel,
  options: BackboneOptions,
): HuggingFaceConfig | undefined {
  if (options.config !== undefined) return readConfig(options.config)
  return model.layout === 'huggingface' ? readConfigBeside(named.path) : undefined
}

/** Collects a backbone's weights from a file, and every problem with them. Does not throw. */
export function planBackbone(
  file: CheckpointFile,
  named: NamedTensors,
  model: NamedModel,
  hints: HuggingFaceConfig | undefined,
): Plan<BackboneConfig> {
  const from = new Collector(file, model)
  const depth = readDepth(from, hints)
  const { dim, patch } = takeEmbedding(from, hints)
  const storageTokens = takeStorageTokens(from, dim)
  const headDim = takeHeadDim(from, model, dim, hints)
  const leaves = blockLeaves(from)
  const ffn: BackboneConfig['ffn'] = leaves.has('mlp.w1.weight') ? 'swiglu' : 'mlp'
  const hidden = readHidden(from, ffn)
  for (let i = 0; i < (depth ?? 1); i++) takeBlock(from, `blocks.${i}.`, { dim, ffn, hidden, leaves })
  takePair(from, 'norm', [dim])
  rejectPositionEmbeddings(from, named, model)
  const config =
    dim === undefined ||
    depth === undefined ||
    headDim === undefined ||
    hidden === undefined ||
    patch === undefined ||
    storageTokens === undefined
      ? undefined
      : { dim, depth, heads: dim / headDim, headDim, ffn, hidden, patch, storageTokens }
  return finishPlan<BackboneConfig>(from, named, config)
}

function readDepth(from: Collector, hints: HuggingFaceConfig | undefined): number | undefined {
  let last = { index: 0, name: 'blocks.0.norm1.weight' }
  for (const name of from.names) {
    const index = Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1)
    if (index > last.index) last = { index, name }
  }
  const depth = from.within(last.name, 'a depth', last.index + 1, MOST.depth)
  agree(from, last.name, 'num_hidden_layers', hints?.depth, depth, hints)
  return depth
}

function takeEmbedding(
  from: Collector,
  hints: HuggingFaceConfig | undefined,
): { dim: number | undefined; patch: number | undefined } {
  const weight = 'patch_embed.proj.weight'
  const told = [
    [weight, 0],
    ['norm.weight', 0],
    ['cls_token', 2],
  ] as const
  const [teller] = told.find(([name, axis]) => from.axis(name, axis) !== undefined) ?? [weight]
  const claimed = told.map(([name, axis]) => from.axis(name, axis)).find((n) => n !== undefined)
  const dim = from.within(teller, 'a width', claimed, MOST.dim)
  agree(from, teller, 'hidden_size', hints?.dim, dim, hints)
  const patch = from.within(weight, 'a patch', from.axis(weight, 2), MOST.patch)
  from.take('cls_token', [1, 1, dim])
  from.take(weight, [dim, 3, patch, patch])
  from.take('patch_embed.proj.bias', [dim])
  return { dim, patch }
}

function takeStorageTokens(from: Collector, dim: number | undefined): number | undefined {
  const name = 'storage_tokens'
  const count = from.axis(name, 1)
  // Hugging Face writes shape [1, 0, dim] for a model without storage tokens.
  if (!from.has(name) || count === 0) {
    from.pass(name)
    return 0
  }
  from.take(name, [1, undefined, dim])
  return from.within(name, 'a number of storage tokens', count, MOST.storageTokens)
}

/**
 * Finds the number of channels per head. It follows from the RoPE periods if the file has them. Hugging Face does not store
 * the periods; then it follows from the `config.json`, and without one it is the usual number.
 */
function takeHeadDim(
  from: Collector,
  model: NamedModel,
  dim: number | undefined,
  hints: HuggingFaceConfig | undefined,
): number | undefined {
  const name = 'rope_embed.periods'
  if (from.has(name)) from.take(name, [undefined])
  if (dim === undefined) return undefined
  const periods = from.axis(name, 0)
  const headDim =
    periods !== undefined ? 4 * periods : hints !== undefined ? dim / hints.heads : USUAL_HEAD_DIM
  const teller = periods === undefined ? 'patch_embed.proj.weight' : name
  if (periods === undefined && hints === undefined && (dim > WIDEST_USUAL_DIM || dim % headDim !== 0)) {
    const where = {
      meta: 'the tensor "rope_embed.periods"',
      huggingface: 'the config.json beside the file',
      timm: 'a config.json with num_attention_heads as backboneConfig',
    }[model.layout]
    from.unfit(
      teller,
      `gives a width of ${dim}, for which the number of heads is not known: ${where} is needed`,
    )
    return undefined
  }
  if (headDim % 4 !== 0 || dim % headDim !== 0) {
    from.unfit(
      teller,
      `gives heads of ${headDim} in a width of ${dim}, which do not fit (RoPE needs multiples of 4)`,
    )
    return undefined
  }
  return from.within(teller, 'a head size', headDim, MOST.headDim)
}

function readHidden(from: Collector, ffn: BackboneConfig['ffn']): number | undefined {
  const name = `blocks.0.mlp.${ffn === 'swiglu' ? 'w1' : 'fc1'}.weight`
  return from.within(name, 'a hidden width', from.axis(name, 0), MOST.hidden)
}

interface BlockShape {
  readonly dim: number | undefined
  readonly ffn: BackboneConfig['ffn']
  readonly hidden: number | undefined
  /** Names after `blocks.<i>.` that at least one block has. If one block has a tensor, all must have it. */
  readonly leaves: ReadonlySet<string>
}

function blockLeaves(from: Collector): Set<string> {
  const leaves = new Set<string>()
  for (const name of from.names)
    if (name.startsWith('blocks.')) leaves.add(name.split('.').slice(2).join('.'))
  return leaves
}

function takeBlock(from: Collector, block: string, shape: BlockShape): void {
  const { dim, ffn, hidden } = shape
  takePair(from, `${block}norm1`, [dim])
  takeQkv(from, block, shape)
  takePair(from, `${block}attn.proj`, [dim, dim])
  from.take(`${block}ls1.gamma`, [dim])
  takePair(from, `${block}norm2`, [dim])
  const [inner, outer] = ffn === 'swiglu' ? [['w1', 'w2'], 'w3'] : [['fc1'], 'fc2']
  for (const name of inner) takePair(from, `${block}mlp.${name}`, [hidden, dim])
  takePair(from, `${block}mlp.${outer}`, [dim, hidden])
  from.take(`${block}ls2.gamma`, [dim])
}

/** Takes a layer's weight and bias. The bias is as long as the weight's first axis. */
function takePair(from: Collector, layer: string, weight: ExpectedShape): void {
  from.take(`${layer}.weight`, weight)
  from.take(`${layer}.bias`, weight.slice(0, 1))
}

function takeQkv(from: Collector, block: string, { dim, leaves }: BlockShape): void {
  const rows = dim === undefined ? undefined : 3 * dim
  const fused = `${block}attn.qkv`
  if (leaves.has('attn.q.weight')) joinQkv(from, block, 'weight', [dim, dim], leaves)
  else from.take(`${fused}.weight`, [rows, dim])
  if (leaves.has('attn.qkv.bias')) from.take(`${fused}.bias`, [rows])
  else joinQkv(from, block, 'bias', [dim], leaves)
  if (leaves.has('attn.qkv.bias_mask')) from.take(`${fused}.bias_mask`, [rows])
}

/** Joins q, k and v into one weight. A bias that no block has is zero, as DINOv3's bias of k is. */
function joinQkv(
  from: Collector,
  block: string,
  leaf: 'weight' | 'bias',
  shape: ExpectedShape,
  leaves: ReadonlySet<string>,
): void {
  const parts: WeightPart[] = []
  const [rows, ...columns] = shape
  for (const which of ['q', 'k', 'v']) {
    const name = `attn.${which}.${leaf}`
    if (leaf === 'bias' && !leaves.has(name)) {
      if (rows !== undefined) parts.push({ zeros: rows })
      continue
    }
    const part = from.claimPart(block + name, shape)
    if (part !== undefined) parts.push(part)
  }
  if (parts.length < 3 || rows === undefined) return
  from.add(`${block}attn.qkv.${leaf}`, [3 * rows, ...columns.map((n) => n ?? 0)], parts)
}

function agree(
  from: Collector,
  teller: string,
  key: string,
  said: number | undefined,
  found: number | undefined,
  hints: HuggingFaceConfig | undefined,
): void {
  if (said === undefined || found === undefined || said === found) return
  from.unfit(
    teller,
    `gives ${found} where ${hints?.path} says ${key} ${said}: is it another model's config.json?`,
  )
}

/** Refuses DINOv2. Its other tensors have the same names, so it would load and compute nonsense. */
function rejectPositionEmbeddings(from: Collector, named: NamedTensors, { prefix }: NamedModel): void {
  const learned = named.rest.find(
    (name) =>
      name.startsWith(prefix) &&
      /^(pos_embed|embeddings\.position_embeddings)$/.test(name.slice(prefix.length)),
  )
  if (learned !== undefined)
    from.unfit(learned, 'is a learned position embedding (DINOv2?): only DINOv3 can be used')
}
