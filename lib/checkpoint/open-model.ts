import { toPath } from '../support/file-path.js'
import { readBackbone, type ReadyBackbone } from './backbone.js'
import { DEFAULT_MODEL } from './default-model.js'
import { checkPair, readHead } from './head.js'
import type { Normalization } from './normalization.js'
import { openCheckpoint } from './open.js'
import type { ReadyModel } from './plan.js'
import { type CheckpointSource, toReference } from './reference.js'
import type { CheckpointFile, HeadConfig } from './tensor.js'

/** The files of a model, as `LoadOptions` names them. */
export interface ModelSource {
  readonly backbone?: CheckpointSource | undefined
  readonly head?: CheckpointSource | undefined
  readonly backboneConfig?: string | URL | undefined
  readonly normalization?: Normalization | undefined
}

/** A backbone and a head that fit together. Their weights can be read while the files are open. */
export interface OpenModel {
  readonly backbone: ReadyBackbone
  readonly head: ReadyModel<HeadConfig>
  readonly files: { readonly backbone: CheckpointFile; readonly head: CheckpointFile }
}

/**
 * Opens and checks both checkpoints for the length of `use`.
 *
 * @throws {FlowError} as `FlowModel.load`, for what can be wrong with files
 */
export async function withModel<T>(
  { backbone = DEFAULT_MODEL, head = DEFAULT_MODEL, backboneConfig, normalization }: ModelSource,
  use: (model: OpenModel) => Promise<T>,
): Promise<T> {
  const from = { backbone: toReference(backbone, 'backbone'), head: toReference(head, 'head') }
  const config = backboneConfig === undefined ? undefined : toPath(backboneConfig, 'backboneConfig')
  const backboneFile = openCheckpoint(from.backbone.path)
  try {
    const backbone = readBackbone(backboneFile, { config, prefix: from.backbone.prefix, normalization })
    const headFile = openCheckpoint(from.head.path)
    try {
      const head = readHead(headFile, from.head.prefix)
      checkPair(backbone, head)
      return await use({ backbone, head, files: { backbone: backboneFile, head: headFile } })
    } finally {
      headFile.close()
    }
  } finally {
    backboneFile.close()
  }
}
