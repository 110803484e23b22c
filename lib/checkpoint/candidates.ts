import type { StoredTensor } from './tensor.js'
import { isNeedless } from './vocabulary.js'

/**
 * A model's part in training, by what stands in front of its names. `average` is that of its weights over training steps (EMA,
 * SWA), which is evaluated and released; `other` is a copy that is not for use, such as an optimizer's or Gram teacher's.
 */
export type ModelRole = 'average' | 'model' | 'teacher' | 'student' | 'other'

/** A model that a file holds. */
export interface CheckpointCandidate {
  /** What stands in front of all its tensors' names, such as `model_ema.module.`; empty if nothing does. */
  readonly prefix: string
  readonly role: ModelRole
  /** Number of its tensors, without counters that only training needs. */
  readonly weights: number
  /**
   * Prefix of the model that the buffers were taken from, such as BatchNorm's statistics, where an average has parameters alone.
   */
  readonly buffers?: string
}

/** Which model of a file was taken. */
export interface CheckpointChoice extends CheckpointCandidate {
  /**
   * The other backbones or heads in the file, the best first. `prefix` takes one of them. Left out are those with less than half
   * as many weights, and those that are not for use.
   */
  readonly others: readonly CheckpointCandidate[]
}

/** The order of choice among models of equally many weights. */
const RANKS: readonly ModelRole[] = ['average', 'model', 'teacher', 'student', 'other']

/** Words of names, between dots, underscores and capitals. The first line that matches a part counts. */
const ROLES: readonly (readonly [role: ModelRole, word: RegExp])[] = [
  ['average', /^(ema\d*|ewma|swa|avg|averaged?|averages|averaging|polyak|shadow)$/],
  ['teacher', /^(teacher|target|momentum)$/],
  ['student', /^(student|online|current|raw)$/],
]
const NOT_FOR_USE = /^(optim\w*|grads?|gradients?|gram)$/
/** Adam's averages of gradients, by the part of a name. */
const MOMENTS = /^(max_)?exp_(avg|inf)(_sqs?|s)?$/

/**
 * The role of the tensors behind a prefix.
 *
 * @param tensors - all names of the file: `n_averaged` beside `module.` is how PyTorch's `AveragedModel` is saved
 */
export function roleOf(prefix: string, tensors: ReadonlyMap<string, unknown>): ModelRole {
  const parts = prefix
    .replace(/([a-z])([A-Z])|([A-Z])([A-Z][a-z])/g, '$1$3_$2$4')
    .toLowerCase()
    .split('.')
  if (parts.some((part) => MOMENTS.test(part))) return 'other'
  const words = parts.map((part) => part.split(/[_-]/))
  const tells = (part: readonly string[], pattern: RegExp): boolean => part.some((word) => pattern.test(word))
  if (words.some((part) => tells(part, NOT_FOR_USE))) return 'other'
  // The innermost part that tells something: `ema.online_model.` is the model beside its average.
  for (const part of words.reverse())
    for (const [role, pattern] of ROLES) if (tells(part, pattern)) return role
  const [, parent] = /^((?:.*\.)?)module\.$/.exec(prefix) ?? []
  return parent !== undefined && tensors.has(`${parent}n_averaged`) ? 'average' : 'model'
}

/** Number of tensors by canonical name that inference needs. It is the same for all layouts: q, k and v count as one. */
export function countWeights(tensors: ReadonlyMap<string, StoredTensor>): number {
  const names = new Set<string>()
  for (const name of tensors.keys())
    if (!isNeedless(name) && !name.endsWith('.bias_mask') && name !== 'rope_embed.periods')
      names.add(name.includes('.attn.') ? name.replace(/\.attn\.[qkv]\./, '.attn.qkv.') : name)
  return names.size
}

/** Orders models: more weights first, then by role, then by the order of the file, which `sort` keeps. */
export function better(a: CheckpointCandidate, b: CheckpointCandidate): number {
  return b.weights - a.weights || RANKS.indexOf(a.role) - RANKS.indexOf(b.role)
}

/** What is told of a model, without its tensors. */
export function plainly({ prefix, role, weights, buffers }: CheckpointCandidate): CheckpointCandidate {
  return buffers === undefined ? { prefix, role, weights } : { prefix, role, weights, buffers }
}

/** The candidates that are worth telling beside the one that was taken. */
export function othersOf(
  taken: CheckpointCandidate,
  sorted: readonly CheckpointCandidate[],
): CheckpointCandidate[] {
  return sorted
    .filter((other) => other !== taken && 2 * other.weights >= taken.weights && other.role !== 'other')
    .map(plainly)
}
