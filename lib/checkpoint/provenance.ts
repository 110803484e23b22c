import { basename } from 'node:path'
import type { OpenModel } from './open-model.js'
import type { CheckpointFile } from './tensor.js'

/** Where a model's weights come from, and under which licences: metadata of the files that are made of them. */
export function provenance({ backbone, head, files }: OpenModel): Record<string, string> {
  return {
    source: `backbone ${basename(backbone.path)}, head ${basename(head.path)}`,
    licence_backbone: licenceOf(files.backbone),
    licence_head: licenceOf(files.head),
  }
}

/** The licence that a file names. Files of torch.save name none. */
function licenceOf({ metadata }: CheckpointFile): string {
  const named = metadata['licence'] ?? metadata['license']
  return (
    named ??
    'not named in the checkpoint; what is made of DINOv3 is under https://ai.meta.com/resources/models-and-libraries/dinov3-license'
  )
}
