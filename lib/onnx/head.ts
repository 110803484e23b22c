import type { HeadConfig } from '../checkpoint/tensor.js'
import type { Weights } from '../checkpoint/weights.js'
import { convolution, normalisedConvolution, separable, squeezeExcite, trunk } from './convolution.js'
import { correlate } from './correlation.js'
import type { Graph } from './graph.js'
import type { GraphGrid } from './grid.js'
import { upsample } from './upsampling.js'

/** The head's part of a graph. */
export interface HeadPart {
  readonly config: HeadConfig
  readonly weights: Weights
}

/**
 * The light flow head of optical_flow_dinov3.
 *
 * @param features - of both pictures, [1, dim, h, w] each, float32
 * @returns flow in pixels, [1, 2, h * up, w * up], float32: x, then y, from picture 1 to picture 2
 */
export function buildHead(
  g: Graph,
  { config, weights }: HeadPart,
  grid: GraphGrid,
  features: readonly [string, string],
): string {
  const [f1, f2] = [1, 2].map((i) =>
    g.silu(normalisedConvolution(g, g.half(features[i - 1]!), weights, `proj${i}`, `bn${i}`)),
  ) as [string, string]
  const correlation = correlate(g, f1, f2, config.proj, config.radius, grid)
  const fused = g.concat([f1, f2, g.op('Abs', [g.op('Sub', [f1, f2])]), correlation], 1)
  const fusedIn = squeezeExcite(g, 'fuse_in.1', weights, separable(g, 'fuse_in.0', weights, fused))
  const x = trunk(g, 'fuse_trunk', config.layers, weights, fusedIn)
  const toFlow = (name: string, map: string) =>
    g.full(convolution(g, map, weights.get(`${name}.weight`), weights.get(`${name}.bias`)))
  const coarse = toFlow('flow_head.1', separable(g, 'flow_head.0', weights, x))
  if (config.refine === 0) return upsample(g, weights, config, x, coarse)
  const again = separable(g, 'refine.0', weights, g.concat([x, g.half(coarse)], 1))
  const step = toFlow('refine.2', trunk(g, 'refine.1', config.refine, weights, again))
  return upsample(g, weights, config, x, g.op('Add', [coarse, step]))
}
