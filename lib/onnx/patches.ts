import { provenance } from '../checkpoint/provenance.js'
import type { OpenModel } from '../checkpoint/open-model.js'
import { Weights } from '../checkpoint/weights.js'
import type { RopePeriods } from '../load.js'
import { buildBackboneOfPatches, patchColumns } from './backbone.js'
import type { ModelContent } from './format.js'
import { type ExportPrecision, Graph } from './graph.js'
import type { FixedGrid } from './grid.js'

export interface PatchModelOptions {
  readonly grid: FixedGrid
  readonly precision: ExportPrecision
  readonly ropePeriods?: RopePeriods | undefined
}

/**
 * The backbone of an engine that prepares pictures itself, for TensorRT behind our kernels:
 *
 * | input | output |
 * | --- | --- |
 * | `patches` [h * w, columns], in `precision`: `Ops::preprocess_patches` of native/ops/ops.h | `features` [h * w, dim], float32 |
 *
 * A patch has `3 * patch * patch` values: pixels normalised by ImageNet's numbers, as our kernels
 * do for every backbone, channel by channel, each row by row. `columns` is that rounded up to a
 * multiple of 16; the other columns do not count, but must be finite. Weights are read when the file is written.
 */
export function patchModelContent(
  model: OpenModel,
  { grid, precision, ropePeriods }: PatchModelOptions,
): ModelContent {
  const { config, weights, normalization } = model.backbone
  const { dim, patch } = config
  const count = grid.height * grid.width
  const columns = patchColumns(config)
  const g = new Graph(precision)
  const patches = g.input('patches', [count, columns], PATCHES, precision)
  const part = { config, weights: new Weights(weights), ropePeriods }
  const features = buildBackboneOfPatches(g, part, grid, patches, normalization)
  g.output('features', features, [count, dim], 'features of the patches')
  return {
    name: 'backbone_of_patches',
    doc: 'The features of the patches of a picture, by a DINOv3 vision transformer.',
    // The same network has the same file in every version of this package.
    producer: { name: 'dinov3-flow', version: '' },
    inputs: g.inputs,
    outputs: g.outputs,
    nodes: g.nodes,
    tensors: g.tensors,
    metadata: {
      ...provenance(model),
      size: `${grid.height * patch}x${grid.width * patch}`,
      grid: `${grid.height}x${grid.width}`,
      patch: String(patch),
      precision,
      patches: PATCHES,
    },
  }
}

const PATCHES = 'pixels normalised by the numbers of ImageNet, a row for each patch, channel by channel'
