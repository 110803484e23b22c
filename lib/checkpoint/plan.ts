import { FlowError } from '../errors.js'
import { quoted } from '../support/quote.js'
import { describeProblems, type Collector, type Problem } from './collector.js'
import type { NamedTensors } from './names.js'
import type { Weight } from './tensor.js'
import { isNeedless } from './vocabulary.js'

/** The weights of one model that a file holds, and every problem with them. */
export interface Plan<Config> {
  /** Undefined if there are problems. */
  readonly config: Config | undefined
  readonly weights: readonly Weight[]
  readonly problems: readonly Problem[]
  /** Names in the file of tensors that no model uses. */
  readonly unused: readonly string[]
}

/** A model that can be loaded: every weight is there, of the right shape and type, and inside the file. */
export interface ReadyModel<Config> {
  readonly path: string
  readonly config: Config
  readonly weights: readonly Weight[]
  /** Names in the file of tensors that were not used, except those that only training uses. */
  readonly unused: readonly string[]
}

/** Completes a plan. `config` is undefined if one of its numbers is unknown. */
export function finishPlan<Config>(
  collector: Collector,
  named: NamedTensors,
  config: Config | undefined,
): Plan<Config> {
  collector.checkSharing()
  const unused = [...collector.leftOver(isNeedless), ...named.others]
  const { weights, problems } = collector
  return { config: problems.length === 0 ? config : undefined, weights, problems, unused }
}

/** @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if the plan has problems */
export function requireReady<Config>(named: NamedTensors, plan: Plan<Config>): ReadyModel<Config> {
  if (plan.config === undefined) throw tensorError(named.path, describeProblems(plan.problems))
  return { path: named.path, config: plan.config, weights: plan.weights, unused: plan.unused }
}

/** The error for a file that does not hold the model at all. */
export function notThere(named: NamedTensors, wanted: 'backbone' | 'head'): FlowError {
  const other = wanted === 'backbone' ? 'head' : 'backbone'
  if (named[other] !== undefined)
    return tensorError(named.path, `holds a ${other}, no ${wanted}: are the two files swapped?`)
  const what = wanted === 'backbone' ? 'DINOv3 ViT backbone' : 'flow head'
  const first = named.others.slice(0, 3).map(quoted).join(', ')
  return tensorError(
    named.path,
    `holds no ${what}: none of its ${named.others.length} tensors has a known name${first === '' ? '' : ` (the first are ${first})`}`,
  )
}

function tensorError(path: string, reason: string): FlowError {
  return new FlowError('ERR_CHECKPOINT_TENSOR', `${path}: ${reason}`)
}
