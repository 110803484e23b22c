import { FlowError } from '../errors.js'
import type { RopePeriods } from '../load.js'
import { toBfloat16 } from '../support/half.js'
import type { BackboneConfig } from './tensor.js'
import type { Weights } from './weights.js'

const NAME = 'rope_embed.periods'

/**
 * The RoPE periods of a checkpoint. Where it has none they are those of DINOv3: 100^(2j / (headDim / 2)) for j < headDim / 4.
 *
 * @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if one is not positive
 */
export function ropePeriods(
  { headDim }: BackboneConfig,
  weights: Weights,
  type: RopePeriods = 'float32',
): Float32Array {
  const computed = (_: unknown, j: number) => 100 ** Math.fround((2 * j) / (headDim / 2))
  const periods = weights.has(NAME)
    ? weights.values(NAME)
    : Float32Array.from({ length: headDim / 4 }, computed)
  if (periods.some((period) => period <= 0))
    throw new FlowError('ERR_CHECKPOINT_TENSOR', `${NAME}: a period is not positive`)
  return type === 'bfloat16' ? toBfloat16(periods) : periods
}
