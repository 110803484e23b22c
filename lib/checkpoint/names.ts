import type { CheckpointFile, StoredTensor } from './tensor.js'
import { isHeadName, toBackboneName } from './vocabulary.js'

/** The tensors of one model under their canonical names. */
export interface NamedModel {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Whose names the file uses. */
  readonly layout: 'meta' | 'huggingface' | 'seed'
}

/** What a file holds, by canonical name. */
export interface NamedTensors {
  readonly path: string
  readonly size: number
  readonly backbone: NamedModel | undefined
  readonly head: NamedModel | undefined
  /** Names, as they stand in the file, that belong to neither. */
  readonly others: readonly string[]
}

/** Containers that say nothing about which model is in them: DataParallel, torch.compile, Lightning, transformers. */
const TRANSPARENT = new Set(['module', '_orig_mod', '_fsdp_wrapped_module', 'model', 'state_dict', 'encoder'])

/** Containers that do. Where a file has several of a kind the first listed wins: a teacher is what DINOv3 releases. */
const ROLES = ['backbone', 'head', 'dinov3_vit', 'ema', 'model_ema', 'teacher', 'student']

/**
 * Maps the tensors of a file to the names that the engine asks for: Meta's for the backbone (Hugging Face's are translated,
 * with q, k and v still apart as `attn.q`, `attn.k`, `attn.v`), the seed's for the head. Prefixes of containers are
 * removed: `module.`, `_orig_mod.`, `backbone.`, `teacher.backbone.`, `head.`, ...
 */
export function nameTensors(file: CheckpointFile): NamedTensors {
  const groups = new Map<string, Group>()
  for (const tensor of file.tensors.values()) {
    const { role, rest } = splitPrefix(tensor.name)
    const group = groups.get(role) ?? { role, tensors: new Map<string, StoredTensor>() }
    groups.set(role, group)
    // The first wins where two containers lead to one name; the other is listed as belonging to nothing.
    if (!group.tensors.has(rest)) group.tensors.set(rest, tensor)
  }
  const backbone = richest(groups, backboneOf)
  const head = richest(groups, headOf)
  const taken = new Set([...(backbone?.tensors.values() ?? []), ...(head?.tensors.values() ?? [])])
  const others = [...file.tensors.values()]
    .filter((tensor) => !taken.has(tensor))
    .map((tensor) => tensor.name)
  return { path: file.path, size: file.size, backbone, head, others }
}

/** The tensors under one prefix. */
interface Group {
  readonly role: string
  readonly tensors: Map<string, StoredTensor>
}

function splitPrefix(name: string): { role: string; rest: string } {
  const roles: string[] = []
  let rest = name
  for (;;) {
    const dot = rest.indexOf('.')
    const segment = rest.slice(0, Math.max(0, dot))
    const isRole = ROLES.includes(segment)
    if (!isRole && !TRANSPARENT.has(segment)) return { role: roles.join('.'), rest }
    if (isRole) roles.push(segment)
    rest = rest.slice(dot + 1)
  }
}

function richest(
  groups: ReadonlyMap<string, Group>,
  read: (group: Group) => NamedModel | undefined,
): NamedModel | undefined {
  const inOrder = [...groups.values()].sort((a, b) => rank(a.role) - rank(b.role))
  let best: NamedModel | undefined
  for (const group of inOrder) {
    const model = read(group)
    if (model !== undefined && model.tensors.size > (best?.tensors.size ?? 0)) best = model
  }
  return best
}

function rank(role: string): number {
  return role === '' ? -1 : ROLES.indexOf(role.split('.')[0] ?? '')
}

function backboneOf({ tensors }: Group): NamedModel | undefined {
  const names = [...tensors.keys()]
  const layout = names.some((name) => /^(embeddings\.|layer\.\d)/.test(name)) ? 'huggingface' : 'meta'
  const ffn = names.some((name) => name.endsWith('.mlp.gate_proj.weight')) ? 'swiglu' : 'mlp'
  const found = new Map<string, StoredTensor>()
  for (const [name, tensor] of tensors) {
    const canonical = toBackboneName(name, layout, ffn)
    if (canonical !== undefined) found.set(canonical, tensor)
  }
  // `norm.*` alone is in half of all models.
  const telling = [...found.keys()].some((name) => !name.startsWith('norm.'))
  return telling ? { tensors: found, layout } : undefined
}

function headOf({ tensors }: Group): NamedModel | undefined {
  const found = new Map([...tensors].filter(([name]) => isHeadName(name)))
  return found.size > 0 ? { tensors: found, layout: 'seed' } : undefined
}
