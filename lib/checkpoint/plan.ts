import type { FlowError } from '../errors.js'
import { listed, quoted } from '../support/quote.js'
import { type CheckpointChoice, plainly } from './candidates.js'
import { describeProblems, type Collector, type Problem } from './collector.js'
import type { NamedModel, NamedTensors } from './names.js'
import { refusal } from './refusal.js'
import { describeShard } from './shards.js'
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
  /** Which of the file's models this is. */
  readonly choice: CheckpointChoice
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
  const unused = [...collector.leftOver(isNeedless), ...named.rest.filter((name) => !isNeedless(name))]
  const { weights, problems } = collector
  return { config: problems.length === 0 ? config : undefined, weights, problems, unused }
}

/** @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if the plan has problems */
export function requireReady<Config>(
  named: NamedTensors,
  model: NamedModel,
  plan: Plan<Config>,
): ReadyModel<Config> {
  const { path } = named
  if (plan.config === undefined)
    throw tensorError(path, describeProblems(plan.problems) + adviceOn(named, plan.problems))
  return { path, choice: choiceOf(model), config: plan.config, weights: plan.weights, unused: plan.unused }
}

/** What to do about problems, unless their reasons say it. */
function adviceOn(named: NamedTensors, problems: readonly Problem[]): string {
  const hint = hintOf(named, problems)
  if (hint !== '' || problems.some(({ reason }) => /\bsave\b/.test(reason))) return hint
  return '; give the whole state dict of one model: inspect --tensors lists what is there'
}

/** Parts of names of weights that are computed from what is stored: weight norm and other parametrizations, LoRA. */
const COMPUTED = /\.parametrizations\.|\.weight_[gv]$|_orig$|\.base_layer\.|\.lora_/

/** What to do about weights that are missing because others stand for them. */
export function hintOf(named: NamedTensors, problems: readonly Problem[]): string {
  const instead = named.rest.find((name) => COMPUTED.test(name))
  if (instead === undefined || !problems.some(({ kind }) => kind === 'missing')) return ''
  return `; merge parametrizations and adapters before saving: it has ${quoted(instead)}`
}

/** What is told of the choice of a model. */
export function choiceOf(model: NamedModel): CheckpointChoice {
  return { ...plainly(model), others: model.others }
}

const WHAT = { backbone: 'DINOv3 ViT backbone', head: 'flow head' }

/** The error for a file that does not hold the model at all. */
export function notThere(named: NamedTensors, wanted: 'backbone' | 'head', prefix?: string): FlowError {
  const { path, rest, refused } = named
  const there = refused[wanted]
  if (prefix !== undefined && there.length > 0)
    return tensorError(
      path,
      `holds no ${WHAT[wanted]} behind the prefix ${quoted(prefix)}: give one of ${listed(there)}`,
    )
  const other = wanted === 'backbone' ? 'head' : 'backbone'
  if (named[other] !== undefined || refused[other].length > 0)
    return tensorError(path, `holds a ${other}, no ${wanted}: are the two files swapped?`)
  const first = rest.slice(0, 3).map(quoted).join(', ')
  const names = first === '' ? '' : ` (the first are ${first}; inspect --tensors lists them)`
  return tensorError(
    path,
    `holds no ${WHAT[wanted]}: none of its ${rest.length} tensors has a known name${names}: give the file with its weights`,
  )
}

function tensorError(path: string, reason: string): FlowError {
  const shard = describeShard(path)
  return refusal(
    'ERR_CHECKPOINT_TENSOR',
    path,
    shard === undefined ? reason : `${shard}; alone it has a problem: ${reason}`,
  )
}
