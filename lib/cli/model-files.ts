import { join } from 'node:path'
import { UsageError } from './cli.js'
import { PACKAGE_ROOT } from './package.js'

/** What the command line says about the model. */
export interface ModelFlags {
  readonly backbone?: string
  readonly head?: string
  readonly backboneConfig?: string
  readonly untrained?: true
}

/** The checkpoints of a model, as `FlowModel.load` takes them. */
export interface ModelFiles {
  readonly backbone: string
  readonly head: string
  readonly backboneConfig: string | undefined
  /** Made-up weights, whose flow carries no meaning. */
  readonly untrained: boolean
}

const GET_WEIGHTS = `
  backbone  DINOv3 ViT-S+/16. Ask Meta for it with the form at
            https://ai.meta.com/resources/models-and-libraries/dinov3-downloads/
            (dinov3_vits16plus_pretrain_lvd1689m-*.pth); Hugging Face's model.safetensors works, too
  head      weights/model.pth of https://github.com/Raessan/optical_flow_dinov3

To see the program at work without them, use --untrained.`

/** @throws {UsageError} where files are missing, saying how to get them */
export function modelFiles({ backbone, head, backboneConfig, untrained }: ModelFlags): ModelFiles {
  if (untrained === true) return untrainedFiles()
  if (backbone === undefined && head === undefined)
    throw new UsageError(`no model: give its two files with --backbone and --head\n${GET_WEIGHTS}`)
  if (backbone === undefined)
    throw new UsageError(`no backbone: give it with --backbone beside --head\n${GET_WEIGHTS}`)
  if (head === undefined)
    throw new UsageError(`no head: give it with --head beside --backbone\n${GET_WEIGHTS}`)
  return { backbone, head, backboneConfig, untrained: false }
}

/** The tests' model, which the package brings along: two blocks of width 64 and a small head, with random weights. */
function untrainedFiles(): ModelFiles {
  const folder = join(PACKAGE_ROOT, 'test', 'fixtures', 'tiny')
  return {
    backbone: join(folder, 'backbone.safetensors'),
    head: join(folder, 'head.safetensors'),
    backboneConfig: undefined,
    untrained: true,
  }
}
