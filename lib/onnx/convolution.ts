import type { NamedValues, Weights } from '../checkpoint/weights.js'
import { FlowError } from '../errors.js'
import type { Graph } from './graph.js'

const NORM_EPSILON = 1e-5

/** A convolution that keeps the size of its map. */
export function convolution(
  g: Graph,
  x: string,
  weight: NamedValues,
  bias?: NamedValues,
  groups = 1,
): string {
  const side = weight.shape[3]!
  const around = (side - 1) / 2
  return g.op('Conv', [x, g.parameter(weight), ...(bias === undefined ? [] : [g.parameter(bias)])], {
    kernel_shape: [side, side],
    pads: [around, around, around, around],
    group: groups,
  })
}

/**
 * A 1x1 convolution without bias, and the batch normalisation behind it folded into it: with
 * gain = gamma / sqrt(variance + epsilon), the weight is W gain and the bias is beta - mean gain.
 *
 * @throws {FlowError} `ERR_CHECKPOINT_TENSOR` if a variance is negative
 */
export function normalisedConvolution(
  g: Graph,
  x: string,
  weights: Weights,
  conv: string,
  bn: string,
): string {
  const weight = weights.get(`${conv}.weight`)
  const gains = () => {
    const [gamma, variance] = [weights.values(`${bn}.weight`), weights.values(`${bn}.running_var`)]
    if (variance.some((each) => each < 0))
      throw new FlowError('ERR_CHECKPOINT_TENSOR', `${bn}.running_var: a variance is negative`)
    return gamma.map((each, i) => each / Math.fround(Math.sqrt(Math.fround(variance[i]! + NORM_EPSILON))))
  }
  const folded: NamedValues = {
    ...weight,
    read: () => {
      const values = weight.read()
      const gain = gains()
      const inputs = values.length / gain.length
      return values.map((value, i) => value * gain[Math.floor(i / inputs)]!)
    },
  }
  const bias: NamedValues = {
    name: `${bn}.bias`,
    shape: weight.shape.slice(0, 1),
    read: () => {
      const [gain, mean] = [gains(), weights.values(`${bn}.running_mean`)]
      return weights.values(`${bn}.bias`).map((beta, i) => beta - mean[i]! * gain[i]!)
    },
  }
  return convolution(g, x, folded, bias)
}

/** DSConv: 3x3 depthwise, 1x1, batch normalisation, SiLU. */
export function separable(g: Graph, name: string, weights: Weights, x: string): string {
  const depthwise = weights.get(`${name}.dw.weight`)
  const between = convolution(g, x, depthwise, undefined, depthwise.shape[0])
  return g.silu(normalisedConvolution(g, between, weights, `${name}.pw`, `${name}.bn`))
}

/** Scales each channel by sigmoid(fc2(silu(fc1(mean over the map)))). */
export function squeezeExcite(g: Graph, name: string, weights: Weights, x: string): string {
  const layer = (which: string, of: string) =>
    convolution(g, of, weights.get(`${name}.${which}.weight`), weights.get(`${name}.${which}.bias`))
  const squeezed = g.silu(layer('fc1', g.op('GlobalAveragePool', [x])))
  return g.op('Mul', [x, g.op('Sigmoid', [layer('fc2', squeezed)])])
}

/** [DSConv, SE, DSConv] as often as `groups` says. */
export function trunk(g: Graph, name: string, groups: number, weights: Weights, x: string): string {
  let y = x
  for (let i = 0; i < groups; i++) {
    const layer = (n: number) => `${name}.net.${3 * i + n}`
    y = squeezeExcite(g, layer(1), weights, separable(g, layer(0), weights, y))
    y = separable(g, layer(2), weights, y)
  }
  return y
}
