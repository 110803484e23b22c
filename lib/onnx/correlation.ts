import { type Graph, TO_END } from './graph.js'
import type { GraphGrid } from './grid.js'

/**
 * f1(y, x) . f2(y + dy, x + dx) / sqrt(channels) for |dy|, |dx| <= radius, dy before dx, zero outside.
 *
 * For each dy, row y of f1 times row y + dy of f2 is a matrix product, w by w + 2 radius, of which the diagonals are wanted. With
 * one more element per row, the diagonals of the product become columns: element (x, x + dx) of rows of W is element (x, dx) of
 * rows of W + 1. So all is one batch of products, and no offset has operators of its own.
 *
 * @param f1 - [1, channels, h, w], as f2
 * @returns [1, (2 radius + 1)^2, h, w]
 */
export function correlate(
  g: Graph,
  f1: string,
  f2: string,
  channels: number,
  radius: number,
  grid: GraphGrid,
): string {
  const side = 2 * radius + 1
  const scaled = g.op('Mul', [f1, g.constant('correlation_scale', [channels ** -0.5])])
  const left = g.transpose(scaled, [0, 2, 3, 1]) // [1, h, w, channels]
  const pads = g.integers([0, 0, radius, radius, 0, 0, radius, radius])
  const padded = g.transpose(g.op('Pad', [f2, pads]), [0, 2, 1, 3]) // [1, h + 2 radius, channels, w + 2 radius]
  const rows = Array.from({ length: side }, (_, dy) => {
    const end = dy - 2 * radius
    return g.slice(padded, 1, dy, end === 0 ? TO_END : end)
  })
  const products = g.op('MatMul', [left, g.concat(rows, 0)]) // [side, h, w, W], W = w + 2 radius
  // The w elements that are added, one for each row of W + 1, belong to no diagonal; so they may be any.
  const filling = g.reshape(g.slice(products, 3, 0, 1), [0, 0, -1])
  const flat = g.concat([g.reshape(products, [0, 0, -1]), filling], 2)
  const diagonals = g.slice(g.reshape(flat, rowsOf(g, f1, grid)), 3, 0, side) // [side, h, w, side]
  return g.reshape(g.transpose(diagonals, [0, 3, 1, 2]), [1, side * side, 0, 0])
}

/** The shape [side, h, w, the rest]. */
function rowsOf(g: Graph, map: string, grid: GraphGrid): readonly number[] | string {
  if (grid !== 'dynamic') return [0, 0, grid.width, -1]
  return g.concat([g.integers([0, 0]), g.slice(g.op('Shape', [map]), 0, 3, 4), g.integers([-1])], 0)
}
