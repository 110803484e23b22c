import type { CheckpointFile, StoredTensor } from './tensor.js'
import { isHeadName, toBackboneName } from './vocabulary.js'

/** The tensors of one model under their canonical names. */
export interface NamedModel {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** The naming scheme of the file. */
  readonly layout: 'meta' | 'huggingface' | 'seed'
}

/** The tensors of a file by model and canonical name. */
export interface NamedTensors {
  readonly path: string
  readonly size: number
  readonly backbone: NamedModel | undefined
  readonly head: NamedModel | undefined
  /** Names in the file of tensors that belong to neither model. */
  readonly others: readonly string[]
}

/** Containers whose name does not tell which model is in them: DataParallel, torch.compile, Lightning, transformers. */
const TRANSPARENT = new Set(['module', '_orig_mod', '_fsdp_wrapped_module', 'model', 'state_dict', 'encoder'])

/**
 * Containers whose name tells which model is in them. If several hold equally many tensors of a model, the first of this list
 * wins: DINOv3 releases the teacher, so it comes before the student.
 */
const ROLES = ['backbone', 'head', 'dinov3_vit', 'ema', 'model_ema', 'teacher', 'student']

/**
 * Maps the tensors of a file to canonical names: Meta's for the backbone, the seed's for the head. Hugging Face's names are
 * translated; q, k and v stay separate, as `attn.q`, `attn.k` and `attn.v`. Prefixes of containers are removed: `module.`,
 * `_orig_mod.`, `backbone.`, `teacher.backbone.`, `head.`, ...
 */
export function nameTensors(file: CheckpointFile): NamedTensors {
  const groups = new Map<string, Group>()
  for (const tensor of file.tensors.values()) {
    const { role, rest } = splitPrefix(tensor.name)
    const group = groups.get(role) ?? { role, tensors: new Map<string, StoredTensor>() }
    groups.set(role, group)
    // If two containers give the same name, the first tensor wins. The second is listed among `others`.
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
  // Many models have a `norm.*`, so it alone does not identify a backbone.
  const telling = [...found.keys()].some((name) => !name.startsWith('norm.'))
  return telling ? { tensors: found, layout } : undefined
}

function headOf({ tensors }: Group): NamedModel | undefined {
  const found = new Map([...tensors].filter(([name]) => isHeadName(name)))
  return found.size > 0 ? { tensors: found, layout: 'seed' } : undefined
}
