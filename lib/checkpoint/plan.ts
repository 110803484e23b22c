import { FlowError } from '../errors.js'
import { quoted } from '../support/quote.js'
import { describeProblems, type Collector, type Problem } from './collector.js'
import type { NamedTensors } from './names.js'
import type { Weight } from './tensor.js'
import { isNeedless } from './vocabulary.js'

/** What was found out about a model in a file. */
export interface Plan<Config> {
  /** Undefined unless `problems` is empty. */
  readonly config: Config | undefined
  readonly weights: readonly Weight[]
  readonly problems: readonly Problem[]
  /** Names in the file that no model needs. */
  readonly unused: readonly string[]
}

/** A model that can be loaded: every weight is there, of the right shape and type, and inside the file. */
export interface ReadyModel<Config> {
  readonly path: string
  readonly config: Config
  readonly weights: readonly Weight[]
  /** Names in the file that were not needed, but for those that training alone uses. */
  readonly unused: readonly string[]
}

/** Closes a plan; `config` is what the numbers come to if all of them are known. */
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

/** @throws {FlowError} `ERR_CHECKPOINT_TENSOR` where the plan has problems */
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
