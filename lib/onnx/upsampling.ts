import type { NamedValues, Weights } from '../checkpoint/weights.js'
import { convolution } from './convolution.js'
import { type Graph, TO_END } from './graph.js'
import { transpose } from './rearrange.js'

const TAPS = 9

/**
 * Convex upsampling (Teed and Deng, RAFT, 2020): every fine vector is a mean of its 3x3 coarse neighbours, weighted by softmax.
 *
 * @param x - the trunk's map, [1, channels, h, w]
 * @param flow - coarse flow in cells, [1, 2, h, w], float32
 * @returns flow in pixels, [1, 2, h * up, w * up], float32
 */
export function upsample(
  g: Graph,
  weights: Weights,
  { up, fusion }: { readonly up: number; readonly fusion: number },
  x: string,
  flow: string,
): string {
  const name = 'convex_upsampler.mask_head'
  const hidden = g.op('Relu', [
    convolution(g, x, weights.get(`${name}.0.weight`), weights.get(`${name}.0.bias`)),
  ])
  // As a product of tokens, whose softmax runs over neighbours in memory: the taps are the last axis.
  const tokens = g.op('Squeeze', [g.transpose(hidden, [0, 2, 3, 1]), g.integers([0])]) // [h, w, channels]
  const product = g.op('MatMul', [tokens, g.parameter(tapsLast(weights.get(`${name}.2.weight`), up, fusion))])
  const mask = g.op('Add', [product, g.parameter(tapsLast(weights.get(`${name}.2.bias`), up, 1))])
  const shares = g.op('Softmax', [g.full(g.reshape(mask, [0, 0, up * up, TAPS]))], { axis: -1 })
  const fine = g.op('MatMul', [shares, neighbours(g, flow, up)]) // [h, w, up * up, 2]
  const planar = g.transpose(g.reshape(fine, [0, 0, up, up, 2]), [4, 0, 2, 1, 3]) // [2, h, up, w, up]
  return g.reshape(g.reshape(planar, [0, 0, 0, -1]), [1, 2, -1, 0])
}

/** The 3x3 neighbours, zero outside, in pixels: [h, w, 9, 2]. */
function neighbours(g: Graph, flow: string, up: number): string {
  const pixels = g.op('Mul', [flow, g.constant('upsampling', [up], [], 'float32')])
  const padded = g.op('Pad', [pixels, g.integers([0, 0, 1, 1, 0, 0, 1, 1])])
  const part = (x: string, axis: number, i: number) => g.slice(x, axis, i, i === 2 ? TO_END : i - 2)
  const rows = [0, 1, 2].map((dy) => part(padded, 2, dy))
  const taps = rows.flatMap((row) => [0, 1, 2].map((dx) => part(row, 3, dx)))
  return g.transpose(g.concat(taps, 0), [2, 3, 0, 1])
}

/** [9 * up^2, channels], tap by tap, to [channels, up^2 * 9], pixel by pixel. */
function tapsLast({ name, shape, read }: NamedValues, up: number, channels: number): NamedValues {
  const pixels = up * up
  return {
    name,
    shape: shape.length === 1 ? shape : [channels, pixels * TAPS],
    read: () => {
      const values = read()
      const reordered = new Float32Array(values.length)
      for (let tap = 0; tap < TAPS; tap++)
        for (let pixel = 0; pixel < pixels; pixel++) {
          const row = (tap * pixels + pixel) * channels
          reordered.set(values.subarray(row, row + channels), (pixel * TAPS + tap) * channels)
        }
      return channels === 1 ? reordered : transpose(reordered, TAPS * pixels, channels)
    },
  }
}
