import { DEFAULT_MODEL } from '../../checkpoint/default-model.js'
import type { Channels, Normalization } from '../../checkpoint/normalization.js'
import type { CheckpointReference } from '../../checkpoint/reference.js'
import type { RopePeriods } from '../../load.js'
import { UsageError } from '../cli.js'

/** The options that name the model's files. */
export interface ModelFlags {
  readonly backbone?: string
  readonly head?: string
  readonly backboneConfig?: string
  readonly backbonePrefix?: string
  readonly headPrefix?: string
  readonly ropePeriods?: RopePeriods
  readonly imageMean?: Channels
  readonly imageStd?: Channels
}

/** The checkpoints of a model, as `FlowModel.load` takes them. */
export interface ModelFiles {
  readonly backbone: CheckpointReference & { readonly path: string }
  readonly head: CheckpointReference & { readonly path: string }
  readonly backboneConfig: string | undefined
  readonly ropePeriods: RopePeriods | undefined
  readonly normalization: Normalization | undefined
}

const GET_WEIGHTS = `
  backbone  DINOv3 ViT-S+/16. Ask Meta for it with the form at
            https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/
            (dinov3_vits16plus_pretrain_lvd1689m-*.pth); Hugging Face's and timm's model.safetensors also
            work (timm/vit_small_plus_patch16_dinov3.lvd1689m, see weights/README.md)
  head      weights/model.pth of https://github.com/Raessan/optical_flow_dinov3

Leave out both to use the package's small model.`

/** @throws {UsageError} if only one of the two files is given, the message says how to get the other; or one half of the normalisation */
export function modelFiles(flags: ModelFlags): ModelFiles {
  const { backbone, head, backboneConfig, ropePeriods, imageMean, imageStd } = flags
  if ((imageMean === undefined) !== (imageStd === undefined))
    throw new UsageError('--image-mean and --image-std belong together')
  const normalization =
    imageMean === undefined || imageStd === undefined ? undefined : { mean: imageMean, std: imageStd }
  if (backbone === undefined && head === undefined) {
    const lone = [
      ['--backbone-config', backboneConfig],
      ['--backbone-prefix', flags.backbonePrefix],
      ['--head-prefix', flags.headPrefix],
      ['--rope-periods', ropePeriods],
      ['--image-mean', imageMean],
    ].find(([, value]) => value !== undefined)
    if (lone !== undefined) throw new UsageError(`${lone[0]} needs --backbone and --head`)
    const path = DEFAULT_MODEL
    return { backbone: { path }, head: { path }, backboneConfig, ropePeriods, normalization }
  }
  if (backbone === undefined)
    throw new UsageError(`no backbone: give it with --backbone beside --head\n${GET_WEIGHTS}`)
  if (head === undefined)
    throw new UsageError(`no head: give it with --head beside --backbone\n${GET_WEIGHTS}`)
  return {
    backbone: { path: backbone, prefix: flags.backbonePrefix },
    head: { path: head, prefix: flags.headPrefix },
    backboneConfig,
    ropePeriods,
    normalization,
  }
}

/** The files that a model is read from, which no output may overwrite. */
export function pathsOf({ backbone, head, backboneConfig }: ModelFiles): string[] {
  return [backbone.path, head.path, ...(backboneConfig === undefined ? [] : [backboneConfig])]
}
