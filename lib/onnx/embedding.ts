import { IMAGENET, type Normalization } from '../checkpoint/normalization.js'
import type { NamedValues, Weights } from '../checkpoint/weights.js'

/** The first layer of a backbone. */
export interface Embedding {
  /** [dim, 3, patch, patch] */
  readonly weight: NamedValues
  /** [dim] */
  readonly bias: NamedValues
}

export function embedding(weights: Weights): Embedding {
  return { weight: weights.get('patch_embed.proj.weight'), bias: weights.get('patch_embed.proj.bias') }
}

/**
 * The same layer for pixels that were normalised by ImageNet's numbers m and s, where the backbone expects others, m' and s':
 * (v - m') / s' = (v - m) / s * (s / s') + (m - m') / s', in each channel. Exactly the same where the numbers are ImageNet's.
 */
export function embeddingOfImageNet({ weight, bias }: Embedding, { mean, std }: Normalization): Embedding {
  const scale = std.map((s, channel) => IMAGENET.std[channel]! / s)
  const shift = std.map((s, channel) => (IMAGENET.mean[channel]! - mean[channel]!) / s)
  const [dim = 1] = weight.shape
  const pixels = weight.shape.slice(2).reduce((product, n) => product * n, 1)
  const channelOf = (at: number) => Math.floor(at / pixels) % scale.length
  return {
    weight: { ...weight, read: () => weight.read().map((value, at) => value * scale[channelOf(at)]!) },
    bias: {
      ...bias,
      read: () => {
        const sums = Float64Array.from(bias.read())
        const row = scale.length * pixels
        for (const [at, value] of weight.read().entries())
          sums[Math.floor(at / row)]! += value * shift[channelOf(at)]!
        return Float32Array.from(sums.subarray(0, dim))
      },
    },
  }
}
