import type { NestedIndex } from './nested-blocks.js'

/** The naming scheme of a backbone's file. */
export type BackboneLayout = 'meta' | 'huggingface' | 'timm'

type Ffn = 'swiglu' | 'mlp'

/** Tensors of Meta's DINOv3. An index has at most 6 digits, so that it is exact. */
const META = new RegExp(
  '^(?:blocks\\.(?:0|[1-9]\\d{0,5})\\.(?:norm[12]\\.(?:weight|bias)|attn\\.qkv\\.(?:weight|bias|bias_mask)' +
    '|attn\\.proj\\.(?:weight|bias)|ls[12]\\.gamma|mlp\\.(?:w[123]|fc[12])\\.(?:weight|bias))' +
    '|cls_token|storage_tokens|mask_token|patch_embed\\.proj\\.(?:weight|bias)|rope_embed\\.periods|norm\\.(?:weight|bias))$',
)

/** timm's names outside the blocks, and in a block after `blocks.<i>.`, mapped to Meta's. The others are the same. */
const TIMM_ROOT: ReadonlyMap<string, string> = new Map([
  ['reg_token', 'storage_tokens'],
  ['rope.periods', 'rope_embed.periods'],
])
const TIMM_BLOCK: ReadonlyMap<string, string> = new Map([
  ['gamma_1', 'ls1.gamma'],
  ['gamma_2', 'ls2.gamma'],
  ['attn.q_bias', 'attn.q.bias'],
  ['attn.k_bias', 'attn.k.bias'],
  ['attn.v_bias', 'attn.v.bias'],
  ...['q', 'k', 'v'].flatMap((part) =>
    ['weight', 'bias'].map((leaf) => [`attn.${part}_proj.${leaf}`, `attn.${part}.${leaf}`] as const),
  ),
])
/** timm's modules of a gated FFN, whose last one has the name that it has in an MLP. */
const TIMM_SWIGLU: ReadonlyMap<string, string> = new Map([
  ['mlp.fc1_g', 'mlp.w1'],
  ['mlp.fc1_x', 'mlp.w2'],
  ['mlp.fc2', 'mlp.w3'],
])

/** Hugging Face's names outside the layers, mapped to Meta's. */
const HUGGING_FACE_ROOT: ReadonlyMap<string, string> = new Map([
  ['embeddings.cls_token', 'cls_token'],
  ['embeddings.register_tokens', 'storage_tokens'],
  ['embeddings.mask_token', 'mask_token'],
  ['embeddings.patch_embeddings.weight', 'patch_embed.proj.weight'],
  ['embeddings.patch_embeddings.bias', 'patch_embed.proj.bias'],
  ['norm.weight', 'norm.weight'],
  ['norm.bias', 'norm.bias'],
])

/** Hugging Face's modules in a layer, after `layer.<i>.`, mapped to Meta's. Those of the FFN depend on its kind. */
const HUGGING_FACE_MODULES: ReadonlyMap<string, string> = new Map([
  ['norm1', 'norm1'],
  ['norm2', 'norm2'],
  ['attention.q_proj', 'attn.q'],
  ['attention.k_proj', 'attn.k'],
  ['attention.v_proj', 'attn.v'],
  ['attention.o_proj', 'attn.proj'],
])
const HUGGING_FACE_FFN: Record<Ffn, ReadonlyMap<string, string>> = {
  swiglu: new Map([
    ['mlp.gate_proj', 'mlp.w1'],
    ['mlp.up_proj', 'mlp.w2'],
    ['mlp.down_proj', 'mlp.w3'],
  ]),
  mlp: new Map([
    ['mlp.up_proj', 'mlp.fc1'],
    ['mlp.down_proj', 'mlp.fc2'],
  ]),
}

const BATCH_NORM = '(weight|bias|running_mean|running_var|num_batches_tracked)'
const SEPARABLE = `(dw\\.weight|pw\\.weight|bn\\.${BATCH_NORM})`
const SQUEEZE = '(fc[12]\\.(weight|bias))'
const CONVOLUTION = '(weight|bias)'

/** Tensors of the seed's head. */
const HEAD = new RegExp(
  `^(proj[12]\\.weight|bn[12]\\.${BATCH_NORM}|fuse_in\\.0\\.${SEPARABLE}|fuse_in\\.1\\.${SQUEEZE}` +
    `|(fuse_trunk|refine\\.1)\\.net\\.\\d{1,6}\\.(${SEPARABLE}|${SQUEEZE})` +
    `|(flow_head|refine)\\.0\\.${SEPARABLE}|(flow_head\\.1|refine\\.2|convex_upsampler\\.mask_head\\.[02])\\.${CONVOLUTION})$`,
)

/** The parts of `blocks.<i>.rest`. `i` has at most 6 digits, so that it is exact. transformers 5 writes `model.layer`. */
const BLOCK = /^(blocks|(?:model\.)?layer)\.(0|[1-9]\d{0,5})\.(.+)$/

/** A tensor's name without what stands in front of the model's own names. */
export interface Suffix {
  readonly model: 'backbone' | 'head'
  /** What stands in front, with its dot, as in the file. */
  readonly prefix: string
  /** The model's own name in the file's layout, without wrappers. */
  readonly name: string
  /** Whether it is one of Meta's names, which the other layouts share in part. */
  readonly isMeta: boolean
  /** The indices of a block in a list of lists; `name` has the outer one alone. */
  readonly nested?: NestedIndex
}

type KnownName = Omit<Suffix, 'prefix'>

/** The first parts of all names, and whose they are: a suffix can only begin at one of them. */
const FIRST: ReadonlyMap<string, Suffix['model']> = new Map([
  ...words('cls_token storage_tokens mask_token patch_embed rope_embed norm blocks', 'backbone'),
  ...words('reg_token rope embeddings layer model', 'backbone'),
  ...words('proj1 proj2 bn1 bn2 fuse_in fuse_trunk flow_head refine convex_upsampler', 'head'),
])

function words(text: string, model: Suffix['model']): [string, Suffix['model']][] {
  return text.split(' ').map((word) => [word, model])
}

const LONGEST_NAME = 512
/** Parts of the longest name, and the wrappers in it. */
const MOST_PARTS = 16

/**
 * Finds the ends of a tensor's name that are names of a model. There can be two: `model.layer.0.norm1.weight` is one of
 * transformers 5, and `layer.0.norm1.weight` with a prefix. Modules that wrap others add parts to names anywhere: `_orig_mod`,
 * `module`, ... They are left out.
 */
export function suffixesOf(name: string): Suffix[] {
  if (name.length > LONGEST_NAME) return []
  const found: Suffix[] = []
  const parts = name.split('.')
  let at = name.length + 1
  for (let start = parts.length - 1; start >= 0 && start >= parts.length - MOST_PARTS; start--) {
    const first = parts[start]!
    at -= first.length + 1
    const model = FIRST.get(first)
    if (model === undefined) continue
    const known = knownName(name.slice(at), model) ?? knownInside(parts.slice(start), model)
    if (known !== undefined) found.push({ ...known, prefix: name.slice(0, at) })
  }
  return found
}

/** As `knownName`, for a name with wrappers in it. */
function knownInside(parts: readonly string[], model: Suffix['model']): KnownName | undefined {
  const inner = parts.filter((part, i) => i === parts.length - 1 || !isWrapper(part))
  const known = knownName(inner.join('.'), model)
  if (known !== undefined) return known
  const at = inner.findIndex(isIndex)
  if (at < 0) return undefined
  // A block may be wrapped by a module of the user's, or be in a list of lists.
  const outside = knownName(inner.filter((_, i) => i !== at + 1).join('.'), model)
  const [outer, wrapper = ''] = inner.slice(at)
  if (outside === undefined || !isIndex(wrapper)) return outside
  if (model === 'backbone') return { ...outside, nested: [Number(outer), Number(wrapper)] }
  return wrapper === '0' ? outside : undefined
}

/** Private attributes of Python: torch.compile, FSDP and activation checkpointing wrap by one. DataParallel's is `module`. */
function isWrapper(part: string): boolean {
  return part.startsWith('_') || part === 'module'
}

/** Whether a part is an index. It has at most 6 digits, so that it is exact. */
function isIndex(part: string): boolean {
  return /^(?:0|[1-9]\d{0,5})$/.test(part)
}

function knownName(name: string, model: Suffix['model']): KnownName | undefined {
  if (model === 'head') return HEAD.test(name) ? { model, name, isMeta: true } : undefined
  if (metaName(name) !== undefined) return { model, name, isMeta: true }
  const known = LAYOUTS.some((layout) => FFNS.some((ffn) => toBackboneName(name, layout, ffn) !== undefined))
  return known ? { model, name, isMeta: false } : undefined
}

const LAYOUTS: readonly BackboneLayout[] = ['huggingface', 'timm']
const FFNS: readonly Ffn[] = ['swiglu', 'mlp']

/** The layout of a backbone that has other names than Meta's, by its names without prefix. */
export function layoutOf(names: readonly string[]): { layout: BackboneLayout; ffn: Ffn } {
  if (names.some((name) => /^(embeddings|(model\.)?layer)\./.test(name)))
    return {
      layout: 'huggingface',
      ffn: names.some((name) => name.endsWith('.mlp.gate_proj.weight')) ? 'swiglu' : 'mlp',
    }
  return { layout: 'timm', ffn: names.some((name) => name.endsWith('.mlp.fc1_g.weight')) ? 'swiglu' : 'mlp' }
}

/** Meta's name of a backbone's tensor; undefined for any other name. `name` must have no prefix. */
export function toBackboneName(name: string, layout: BackboneLayout, ffn: Ffn): string | undefined {
  if (layout === 'huggingface') return fromHuggingFace(name, ffn)
  return layout === 'timm' ? (fromTimm(name, ffn) ?? metaName(name)) : metaName(name)
}

/** Whether a tensor is saved with a model but not needed for inference. */
export function isNeedless(name: string): boolean {
  return name === 'mask_token' || name.endsWith('num_batches_tracked')
}

/** Whether a tensor is no parameter: an average of parameters may be saved without it. */
export function isBuffer(name: string): boolean {
  return /(^|\.)(running_mean|running_var|bias_mask|periods)$/.test(name)
}

function metaName(name: string): string | undefined {
  return META.test(name) ? name : undefined
}

function fromTimm(name: string, ffn: Ffn): string | undefined {
  const root = TIMM_ROOT.get(name)
  if (root !== undefined) return root
  const [, list, index, rest] = BLOCK.exec(name) ?? []
  if (list !== 'blocks' || rest === undefined) return undefined
  const leaf = TIMM_BLOCK.get(rest) ?? (ffn === 'swiglu' ? inModule(rest, TIMM_SWIGLU) : undefined)
  return leaf === undefined ? undefined : `blocks.${index}.${leaf}`
}

function fromHuggingFace(name: string, ffn: Ffn): string | undefined {
  const root = HUGGING_FACE_ROOT.get(name)
  if (root !== undefined) return root
  const [, list, index, rest] = BLOCK.exec(name) ?? []
  if (list === 'blocks' || rest === undefined) return undefined
  const scale = /^layer_scale([12])\.lambda1$/.exec(rest)
  const leaf =
    scale !== null
      ? `ls${scale[1]}.gamma`
      : (inModule(rest, HUGGING_FACE_MODULES) ?? inModule(rest, HUGGING_FACE_FFN[ffn]))
  return leaf === undefined ? undefined : `blocks.${index}.${leaf}`
}

/** The name of a module's weight or bias, the module's name mapped. */
function inModule(name: string, modules: ReadonlyMap<string, string>): string | undefined {
  const [, module = '', leaf] = /^(.+)\.(weight|bias)$/.exec(name) ?? []
  const mapped = modules.get(module)
  return mapped === undefined ? undefined : `${mapped}.${leaf}`
}
