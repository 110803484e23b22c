import type { Graph } from './graph.js'
import type { FixedGrid, GraphGrid } from './grid.js'

/** cos and sin for every patch, [1, 1, patches, headDim], in the precision of products. */
export interface Rope {
  readonly cos: string
  readonly sin: string
}

/**
 * Axial RoPE: a patch's centre has coordinates y and x in -1..1, its angles are 2 pi coordinate / period, those of y before
 * those of x, all twice for the halves that rotate together.
 *
 * @param map - the embedded patches, [batch, dim, height, width]: a dynamic grid's size is taken from it
 */
export function rope(g: Graph, periods: Float32Array, grid: GraphGrid, map: string): Rope {
  if (grid !== 'dynamic') return ropeOfGrid(g, periods, grid)
  return g.within('rope_embed', () => computed(g, turnsOf(periods), map))
}

/** As {@link rope}, for a grid of one size: constants. */
export function ropeOfGrid(g: Graph, periods: Float32Array, { height, width }: FixedGrid): Rope {
  const turns = turnsOf(periods)
  const { fround } = Math
  const coordinate = (i: number, n: number) => fround(fround(2 * fround((i + 0.5) / n)) - 1)
  const half = 2 * turns.length
  const angles = new Float32Array(height * width * 2 * half)
  for (let row = 0; row < height * width; row++) {
    const y = coordinate(Math.floor(row / width), height)
    const x = coordinate(row % width, width)
    for (const [j, turn] of turns.entries())
      for (const first of [row * 2 * half + j, row * 2 * half + half + j]) {
        angles[first] = turn * y
        angles[first + turns.length] = turn * x
      }
  }
  const shape = [1, 1, height * width, 2 * half]
  return {
    cos: g.constant('rope_embed.cos', angles.map(Math.cos), shape),
    sin: g.constant('rope_embed.sin', angles.map(Math.sin), shape),
  }
}

function turnsOf(periods: Float32Array): Float32Array {
  return periods.map((period) => Math.fround(2 * Math.PI) / period)
}

/** In float32, once for all blocks. */
function computed(g: Graph, turns: Float32Array, map: string): Rope {
  const size = g.slice(g.op('Shape', [map]), 0, 2, 4)
  const number = (n: number) => g.constant(String(n), [n], [], 'float32')
  const angles = (axis: 0 | 1) => {
    const n = g.op('Gather', [size, g.integers(axis)])
    const index = g.cast(g.op('Range', [g.integers(0), n, g.integers(1)]), 'float32')
    const centre = g.op('Div', [g.op('Add', [index, number(0.5)]), g.cast(n, 'float32')])
    const coordinate = g.op('Sub', [g.op('Mul', [centre, number(2)]), number(1)])
    // [height, 1, 1] for y, [1, width, 1] for x.
    const column = g.reshape(coordinate, axis === 0 ? [-1, 1, 1] : [1, -1, 1])
    const product = g.op('Mul', [column, g.constant('rope_embed.turns', turns, [turns.length], 'float32')])
    return g.op('Expand', [product, g.concat([size, g.integers([turns.length])], 0)])
  }
  const both = g.reshape(g.concat([angles(0), angles(1)], 2), [1, 1, -1, 2 * turns.length])
  const twice = (op: string) => {
    const once = g.half(g.op(op, [both]))
    return g.concat([once, once], 3)
  }
  return { cos: twice('Cos'), sin: twice('Sin') }
}
