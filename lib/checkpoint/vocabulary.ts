/** The naming scheme of a backbone's file. */
export type BackboneLayout = 'meta' | 'huggingface'

/** Tensors of Meta's DINOv3 outside the blocks. */
const META_ROOT =
  /^(cls_token|storage_tokens|mask_token|patch_embed\.proj\.(weight|bias)|rope_embed\.periods|norm\.(weight|bias))$/

/** Tensors of one of Meta's blocks, after `blocks.<i>.`. */
const META_BLOCK =
  /^(norm[12]\.(weight|bias)|attn\.qkv\.(weight|bias|bias_mask)|attn\.proj\.(weight|bias)|ls[12]\.gamma|mlp\.(w[123]|fc[12])\.(weight|bias))$/

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
const HUGGING_FACE_FFN: Record<'swiglu' | 'mlp', ReadonlyMap<string, string>> = {
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

/** Beginnings of the names of the seed's head. */
const HEAD = /^(proj[12]|bn[12]|fuse_in|fuse_trunk|flow_head|refine|convex_upsampler)\./

/** Meta's name of a backbone's tensor; undefined for any other name. `name` must have no prefix of a container. */
export function toBackboneName(
  name: string,
  layout: BackboneLayout,
  ffn: 'swiglu' | 'mlp',
): string | undefined {
  return layout === 'meta' ? metaName(name) : fromHuggingFace(name, ffn)
}

/** Whether a tensor is one of the seed's head. */
export function isHeadName(name: string): boolean {
  return HEAD.test(name)
}

/** Whether a tensor is saved with a model but not needed for inference. */
export function isNeedless(name: string): boolean {
  return name === 'mask_token' || name.endsWith('.num_batches_tracked')
}

/** The parts of `blocks.<i>.rest`. `i` has at most 6 digits, so that it is exact. */
const BLOCK = /^(?:blocks|layer)\.(0|[1-9]\d{0,5})\.(.+)$/

function metaName(name: string): string | undefined {
  if (META_ROOT.test(name)) return name
  const block = BLOCK.exec(name)
  return name.startsWith('blocks.') && block !== null && META_BLOCK.test(block[2] ?? '') ? name : undefined
}

function fromHuggingFace(name: string, ffn: 'swiglu' | 'mlp'): string | undefined {
  const root = HUGGING_FACE_ROOT.get(name)
  if (root !== undefined) return root
  const [, index, rest] = (name.startsWith('layer.') ? BLOCK.exec(name) : null) ?? []
  if (index === undefined || rest === undefined) return undefined
  const scale = /^layer_scale([12])\.lambda1$/.exec(rest)
  if (scale !== null) return `blocks.${index}.ls${scale[1]}.gamma`
  const [, module, leaf] = /^(.+)\.(weight|bias)$/.exec(rest) ?? []
  if (module === undefined || leaf === undefined) return undefined
  const meta = HUGGING_FACE_MODULES.get(module) ?? HUGGING_FACE_FFN[ffn].get(module)
  return meta === undefined ? undefined : `blocks.${index}.${meta}.${leaf}`
}
