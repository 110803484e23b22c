import { dotlessAverages, listedAverages, withBuffers } from './averages.js'
import {
  better,
  type CheckpointCandidate,
  type CheckpointChoice,
  countWeights,
  othersOf,
  roleOf,
} from './candidates.js'
import { type NestedIndex, numberBlocks } from './nested-blocks.js'
import type { CheckpointFile, StoredTensor } from './tensor.js'
import { type BackboneLayout, isNeedless, layoutOf, suffixesOf, toBackboneName } from './vocabulary.js'

/** The tensors of one model under their canonical names. */
export interface NamedModel extends CheckpointCandidate {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** The naming scheme of a backbone; a head has only the seed's, which is told as Meta's. */
  readonly layout: BackboneLayout
  readonly others: CheckpointChoice['others']
}

/** The tensors of a file by model and canonical name. */
export interface NamedTensors {
  readonly path: string
  readonly size: number
  readonly backbone: NamedModel | undefined
  readonly head: NamedModel | undefined
  /** Names in the file of tensors that belong to neither model. */
  readonly rest: readonly string[]
  /** Prefixes of the models that were not taken because another prefix was asked for. */
  readonly refused: { readonly backbone: readonly string[]; readonly head: readonly string[] }
}

/**
 * Maps the tensors of a file to canonical names: Meta's for the backbone, the seed's for the head. A tensor belongs to a model
 * if its name ends in one of the model's names, whatever stands in front. Names of transformers and timm are translated; q, k
 * and v stay separate, as `attn.q`, `attn.k` and `attn.v`.
 *
 * A file can hold a model more than once, behind different prefixes. The one of most weights is taken, and among equals the
 * average rather than the model itself, then a teacher, then a student, then the first in the file.
 *
 * @param prefix - takes the models behind this prefix instead; '' is none. Its last dot may be left out, and so may its beginning
 */
export function nameTensors(file: CheckpointFile, prefix?: string): NamedTensors {
  const groups = groupByPrefix(file)
  const backbones = rank(groups, file, backboneOf)
  const heads = rank(groups, file, headOf)
  const backbone = choose(backbones, prefix)
  const head = choose(heads, prefix)
  const taken = new Set([...(backbone?.tensors.values() ?? []), ...(head?.tensors.values() ?? [])])
  const rest = [...file.tensors.values()].filter((tensor) => !taken.has(tensor)).map(({ name }) => name)
  const prefixes = (models: readonly CheckpointCandidate[]): string[] => models.map((model) => model.prefix)
  return {
    path: file.path,
    size: file.size,
    backbone,
    head,
    rest,
    refused: {
      backbone: backbone === undefined ? prefixes(backbones) : [],
      head: head === undefined ? prefixes(heads) : [],
    },
  }
}

/** The tensors behind one prefix, by the rest of their names. */
interface Group {
  readonly prefix: string
  readonly backbone: Map<string, StoredTensor>
  readonly head: Map<string, StoredTensor>
  /** Tensors of blocks in a list of lists, which have no number yet. */
  readonly nested: { readonly index: NestedIndex; readonly name: string; readonly tensor: StoredTensor }[]
  /** Whether all names of the backbone are Meta's. */
  isMeta: boolean
}

function groupByPrefix(file: CheckpointFile): Group[] {
  const groups = new Map<string, Group>()
  for (const tensor of file.tensors.values())
    for (const { model, prefix, name, isMeta, nested } of suffixesOf(tensor.name)) {
      let group = groups.get(prefix)
      if (group === undefined)
        groups.set(
          prefix,
          (group = { prefix, backbone: new Map(), head: new Map(), nested: [], isMeta: true }),
        )
      group.isMeta &&= isMeta
      if (nested !== undefined) group.nested.push({ index: nested, name, tensor })
      else put(group[model], name, tensor)
    }
  for (const { backbone, nested } of groups.values()) {
    const numberOf = numberBlocks(nested.map(({ index }) => index))
    // The first number of a backbone's name is that of its block.
    for (const { index, name, tensor } of nested)
      put(backbone, name.replace(/\d+/, String(numberOf(index))), tensor)
  }
  return [...groups.values()]
}

/** Two names may be the same without the wrappers in them. Then the shorter one has fewer wrappers, and is taken. */
function put(model: Map<string, StoredTensor>, name: string, tensor: StoredTensor): void {
  const known = model.get(name)
  if (known === undefined || tensor.name.length < known.name.length) model.set(name, tensor)
}

/** A model that is not yet chosen. */
export type Found = Omit<NamedModel, 'others'>

/** The models that `read` finds, the best first. */
function rank(
  groups: readonly Group[],
  file: CheckpointFile,
  read: (group: Group) => Pick<NamedModel, 'tensors' | 'layout'> | undefined,
): Found[] {
  const found: Found[] = []
  for (const group of groups) {
    const model = read(group)
    if (model === undefined) continue
    const { prefix } = group
    found.push({ ...model, prefix, role: roleOf(prefix, file.tensors), weights: countWeights(model.tensors) })
  }
  found.sort(better)
  const whole = found.find(({ role }) => role === 'model')
  if (whole === undefined) return found
  const averages = isAllNamed(groups, file)
    ? []
    : [...listedAverages(file, whole), ...dotlessAverages(file, whole)]
  return [...found, ...averages].map((model) => withBuffers(model, whole)).sort(better)
}

/** Whether every tensor has a model's name. Then none is part of an average in another form, and the search is saved. */
function isAllNamed(groups: readonly Group[], file: CheckpointFile): boolean {
  const named = new Set(groups.flatMap(({ backbone, head }) => [...backbone.values(), ...head.values()]))
  return named.size === file.tensors.size
}

function choose(sorted: readonly Found[], prefix: string | undefined): NamedModel | undefined {
  const taken = prefix === undefined ? sorted[0] : behind(sorted, prefix)
  if (taken === undefined) return undefined
  // `model.layer.0.norm1.weight` also belongs to a model without prefix, which has no tensors of its own.
  const tensors = new Set(taken.tensors.values())
  const own = sorted.filter((model) => [...model.tensors.values()].some((tensor) => !tensors.has(tensor)))
  return { ...taken, others: othersOf(taken, own) }
}

/** The model behind a prefix: exactly this one, or the best of those that end in it. */
function behind(sorted: readonly Found[], prefix: string): Found | undefined {
  const asked = prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`
  const exact = sorted.find((model) => model.prefix === asked)
  return exact ?? (asked === '' ? undefined : sorted.find((model) => model.prefix.endsWith(`.${asked}`)))
}

function backboneOf({ backbone, isMeta }: Group): Pick<NamedModel, 'tensors' | 'layout'> | undefined {
  // Many models have a `norm.*`, so it alone does not identify a backbone.
  const names = [...backbone.keys()]
  if (!names.some((name) => !name.startsWith('norm.'))) return undefined
  if (isMeta) return { tensors: backbone, layout: 'meta' }
  const { layout, ffn } = layoutOf(names)
  const tensors = new Map<string, StoredTensor>()
  for (const [name, tensor] of backbone) {
    const canonical = toBackboneName(name, layout, ffn)
    if (canonical !== undefined && !tensors.has(canonical)) tensors.set(canonical, tensor)
  }
  return { tensors, layout }
}

function headOf({ head }: Group): Pick<NamedModel, 'tensors' | 'layout'> | undefined {
  return [...head.keys()].some((name) => !isNeedless(name)) ? { tensors: head, layout: 'meta' } : undefined
}
