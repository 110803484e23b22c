import type { RopePeriods } from '../../load.js'
import type { OpenModel } from '../open-model.js'
import { ropePeriods } from '../rope-periods.js'
import { type NamedValues, Weights } from '../weights.js'

/** Which weights a checkpoint holds: all, behind `backbone.` and `head.`; or one model's, under the names of its authors. */
export type CheckpointPart = 'both' | 'backbone' | 'head'

/**
 * The state dict of a model: the backbone under Meta's names, the head under those of optical_flow_dinov3. Whatever the source left
 * out is there, so that their code loads it strictly.
 */
export function stateOf(
  model: OpenModel,
  part: CheckpointPart,
  periods: RopePeriods | undefined,
): readonly NamedValues[] {
  const backbone = () => backboneState(model.backbone, periods)
  const head = () => [...new Weights(model.head.weights)]
  if (part !== 'both') return part === 'backbone' ? backbone() : head()
  return [...behind('backbone.', backbone()), ...behind('head.', head())]
}

function behind(prefix: string, tensors: readonly NamedValues[]): readonly NamedValues[] {
  return tensors.map((tensor) => ({ ...tensor, name: prefix + tensor.name }))
}

function backboneState(
  { config, weights: given }: OpenModel['backbone'],
  type: RopePeriods | undefined,
): readonly NamedValues[] {
  const weights = new Weights(given)
  const { dim, depth, headDim } = config
  const tensors = new Map([...weights].map((tensor) => [tensor.name, tensor]))
  const add = (tensor: NamedValues) => tensors.set(tensor.name, tensor)
  add({
    name: 'rope_embed.periods',
    shape: [headDim / 4],
    read: () => ropePeriods(config, weights, type),
  })
  // Only pre-training uses it.
  add({ name: 'mask_token', shape: [1, dim], read: () => new Float32Array(dim) })
  for (let i = 0; i < depth; i++) {
    const name = `blocks.${i}.attn.qkv`
    if (!tensors.has(`${name}.bias_mask`))
      add({
        name: `${name}.bias_mask`,
        shape: [3 * dim],
        read: () => biasMask(weights.values(`${name}.bias`)),
      })
  }
  return [...tensors.values()]
}

/** Meta's mask, which leaves out the bias of k; one that leaves out nothing, for a backbone that has such a bias. */
function biasMask(bias: Float32Array): Float32Array {
  const third = bias.length / 3
  const mask = new Float32Array(bias.length).fill(1)
  const without = bias.subarray(third, 2 * third).every((value) => value === 0)
  return without ? mask.fill(0, third, 2 * third) : mask
}
