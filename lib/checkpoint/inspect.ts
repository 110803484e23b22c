import { FlowError } from '../errors.js'
import { toPath } from '../support/file-path.js'
import { listed, quoted } from '../support/quote.js'
import { type BackboneOptions, backboneHints, planBackbone } from './backbone.js'
import { planHead } from './head.js'
import type { CheckpointChoice } from './candidates.js'
import { nameTensors } from './names.js'
import { findNormalization, type FoundNormalization } from './normalization.js'
import { openCheckpoint } from './open.js'
import { choiceOf, hintOf, type Plan } from './plan.js'
import { describeShard } from './shards.js'
import type { BackboneConfig, CheckpointFile, DType, HeadConfig } from './tensor.js'

/** Options of {@link inspectCheckpoint}. */
export interface InspectOptions {
  /** Hugging Face's config.json. Default: the one beside a backbone with Hugging Face's names. */
  readonly backboneConfig?: string | URL | undefined
  /** Describes the models behind this prefix, as `CheckpointReference` has it, instead of those that would be loaded. */
  readonly prefix?: string | undefined
}

/** The contents of a checkpoint. Plain data, fit for JSON. */
export interface Inspection {
  readonly path: string
  readonly format: CheckpointFile['format']
  /** Number of files of a model in shards; null for a file by itself. */
  readonly shards: number | null
  /** Bytes, of all shards. */
  readonly size: number
  readonly kind: 'backbone' | 'head' | 'backbone+head' | 'unknown'
  /** The backbone's architecture; null if there is none, or it cannot be used. */
  readonly backbone: BackboneConfig | null
  /** The scale of pixels that the backbone expects; null if there is none, or the file that tells it cannot be used. */
  readonly normalization: FoundNormalization | null
  /** The head's architecture; null if there is none, or it cannot be used. */
  readonly head: HeadConfig | null
  /** Which of the file's backbones and heads the lines above describe, and the others; null if there is none. */
  readonly choice: { readonly backbone: CheckpointChoice | null; readonly head: CheckpointChoice | null }
  /** Naming scheme of the backbone; null if there is none. */
  readonly layout: 'meta' | 'huggingface' | 'timm' | null
  readonly tensors: readonly { name: string; dtype: DType; shape: readonly number[] }[]
  /** Canonical names of the required tensors that are missing. */
  readonly missing: readonly string[]
  /** Names in the file of tensors that are not used. */
  readonly unused: readonly string[]
  /** Every problem that makes the file unusable, one sentence each. Missing tensors are listed in `missing` only. */
  readonly problems: readonly string[]
  /**
   * Python classes and functions that a .pth refers to beside its tensors, as `module.name`, at most 100. What they would make was
   * skipped; nothing was run.
   */
  readonly skipped: readonly string[]
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Describes a checkpoint. Tensors that are missing or do not fit are listed; they are not errors.
 *
 * @throws {FlowError} `ERR_IO` or `ERR_CHECKPOINT_FORMAT`, naming the file; `ERR_ARGUMENT` for a URL other than a file: URL
 */
export function inspectCheckpoint(checkpoint: string | URL, options: InspectOptions = {}): Inspection {
  const { backboneConfig, prefix } = options
  const config = backboneConfig === undefined ? undefined : toPath(backboneConfig, 'backboneConfig')
  const file = openCheckpoint(toPath(checkpoint, 'checkpoint'))
  try {
    return inspectFile(file, { config, prefix })
  } finally {
    file.close()
  }
}

function inspectFile(file: CheckpointFile, options: BackboneOptions): Inspection {
  const named = nameTensors(file, options.prefix)
  const problems: string[] = []
  /** What a file beside the checkpoint tells. If it is of no use, that is a problem. */
  const tell = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof FlowError)) throw error
      problems.push(error.message)
      return undefined
    }
  }
  const there = named.backbone
  const hints = there && tell(() => backboneHints(named, there, options))
  const normalization = there && tell(() => findNormalization(named.path, there.layout, options))
  const backbone = named.backbone && planBackbone(file, named, named.backbone, hints)
  const head = named.head && planHead(file, named, named.head)
  const plans: Plan<unknown>[] = [backbone, head].filter((plan) => plan !== undefined)
  const all = plans.flatMap((plan) => plan.problems)
  for (const { kind, tensor, reason } of all)
    if (kind === 'unfit') problems.push(`tensor ${quoted(tensor)} ${reason}`)
  const hint = hintOf(named, all)
  if (hint !== '') problems.push(hint.slice('; '.length))
  const shard = describeShard(file.path)
  if (all.length > 0 && shard !== undefined) problems.unshift(shard)
  const asked = options.prefix
  const refused = [...named.refused.backbone, ...named.refused.head]
  if (plans.length === 0 && asked !== undefined && refused.length > 0)
    problems.push(`no model has the prefix ${quoted(asked)}: give one of ${listed(refused)}`)
  return {
    path: file.path,
    format: file.format,
    shards: file.shards ?? null,
    size: file.size,
    kind: kindOf(backbone, head),
    backbone: backbone?.config ?? null,
    normalization: normalization ?? null,
    head: head?.config ?? null,
    choice: {
      backbone: named.backbone === undefined ? null : choiceOf(named.backbone),
      head: named.head === undefined ? null : choiceOf(named.head),
    },
    layout: named.backbone?.layout ?? null,
    tensors: [...file.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    missing: all.filter(({ kind }) => kind === 'missing').map(({ tensor }) => tensor),
    unused: plans.length === 0 ? [...named.rest] : [...new Set(plans.flatMap((plan) => plan.unused))],
    problems,
    skipped: file.skipped,
    metadata: file.metadata,
  }
}

function kindOf(backbone: object | undefined, head: object | undefined): Inspection['kind'] {
  if (backbone === undefined) return head === undefined ? 'unknown' : 'head'
  return head === undefined ? 'backbone' : 'backbone+head'
}
