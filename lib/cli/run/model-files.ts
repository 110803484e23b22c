import { DEFAULT_MODEL } from '../../checkpoint/default-model.js'
import { UsageError } from '../cli.js'

/** The options that name the model's files. */
export interface ModelFlags {
  readonly backbone?: string
  readonly head?: string
  readonly backboneConfig?: string
}

/** The checkpoints of a model, as `FlowModel.load` takes them. */
export interface ModelFiles {
  readonly backbone: string
  readonly head: string
  readonly backboneConfig: string | undefined
}

const GET_WEIGHTS = `
  backbone  DINOv3 ViT-S+/16. Ask Meta for it with the form at
            https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/
            (dinov3_vits16plus_pretrain_lvd1689m-*.pth); Hugging Face's model.safetensors also works
  head      weights/model.pth of https://github.com/Raessan/optical_flow_dinov3

Leave out both to use the package's small model.`

/** @throws {UsageError} if only one of the two files is given; the message says how to get the other */
export function modelFiles({ backbone, head, backboneConfig }: ModelFlags): ModelFiles {
  if (backbone === undefined && head === undefined) {
    if (backboneConfig !== undefined) throw new UsageError('--backbone-config needs --backbone')
    return { backbone: DEFAULT_MODEL, head: DEFAULT_MODEL, backboneConfig }
  }
  if (backbone === undefined)
    throw new UsageError(`no backbone: give it with --backbone beside --head\n${GET_WEIGHTS}`)
  if (head === undefined)
    throw new UsageError(`no head: give it with --head beside --backbone\n${GET_WEIGHTS}`)
  return { backbone, head, backboneConfig }
}
