import { FlowError } from '../errors.js'
import { toPath } from '../support/file-path.js'
import { quoted } from '../support/quote.js'
import { type BackboneOptions, backboneHints, planBackbone } from './backbone.js'
import { planHead } from './head.js'
import type { HuggingFaceConfig } from './hf-config.js'
import { nameTensors } from './names.js'
import { openCheckpoint } from './open.js'
import type { Plan } from './plan.js'
import type { BackboneConfig, CheckpointFile, DType, HeadConfig } from './tensor.js'

/** Options of {@link inspectCheckpoint}. */
export interface InspectOptions {
  /** Hugging Face's config.json. Default: the one beside a backbone with Hugging Face's names. */
  readonly backboneConfig?: string | URL | undefined
}

/** The contents of a checkpoint. Plain data, fit for JSON. */
export interface Inspection {
  readonly path: string
  readonly format: CheckpointFile['format']
  /** Bytes. */
  readonly size: number
  readonly kind: 'backbone' | 'head' | 'backbone+head' | 'unknown'
  /** The backbone's architecture; null if there is none, or it cannot be used. */
  readonly backbone: BackboneConfig | null
  /** The head's architecture; null if there is none, or it cannot be used. */
  readonly head: HeadConfig | null
  readonly tensors: readonly { name: string; dtype: DType; shape: readonly number[] }[]
  /** Canonical names of the required tensors that are missing. */
  readonly missing: readonly string[]
  /** Names in the file of tensors that are not used. */
  readonly unused: readonly string[]
  /** Every problem that makes the file unusable, one sentence each. Missing tensors are listed in `missing` only. */
  readonly problems: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Describes a checkpoint. Tensors that are missing or do not fit are listed; they are not errors.
 *
 * @throws {FlowError} `ERR_IO` or `ERR_CHECKPOINT_FORMAT`, naming the file; `ERR_ARGUMENT` for a URL other than a file: URL
 */
export function inspectCheckpoint(checkpoint: string | URL, options: InspectOptions = {}): Inspection {
  const { backboneConfig } = options
  const config = backboneConfig === undefined ? undefined : toPath(backboneConfig, 'backboneConfig')
  const file = openCheckpoint(toPath(checkpoint, 'checkpoint'))
  try {
    return inspectFile(file, { config })
  } finally {
    file.close()
  }
}

function inspectFile(file: CheckpointFile, options: BackboneOptions): Inspection {
  const named = nameTensors(file)
  const problems: string[] = []
  let hints: HuggingFaceConfig | undefined
  try {
    if (named.backbone !== undefined) hints = backboneHints(named, named.backbone, options)
  } catch (error) {
    if (!(error instanceof FlowError)) throw error
    problems.push(error.message)
  }
  const backbone = named.backbone && planBackbone(file, named, named.backbone, hints)
  const head = named.head && planHead(file, named, named.head)
  const plans: Plan<unknown>[] = [backbone, head].filter((plan) => plan !== undefined)
  const all = plans.flatMap((plan) => plan.problems)
  for (const { kind, tensor, reason } of all)
    if (kind === 'unfit') problems.push(`tensor ${quoted(tensor)} ${reason}`)
  return {
    path: file.path,
    format: file.format,
    size: file.size,
    kind: kindOf(backbone, head),
    backbone: backbone?.config ?? null,
    head: head?.config ?? null,
    tensors: [...file.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    missing: all.filter(({ kind }) => kind === 'missing').map(({ tensor }) => tensor),
    unused: plans.length === 0 ? [...named.others] : [...new Set(plans.flatMap((plan) => plan.unused))],
    problems,
    metadata: file.metadata,
  }
}

function kindOf(backbone: object | undefined, head: object | undefined): Inspection['kind'] {
  if (backbone === undefined) return head === undefined ? 'unknown' : 'head'
  return head === undefined ? 'backbone' : 'backbone+head'
}
