import { elements } from '../checkpoint/layout.js'
import type { Weight } from '../checkpoint/tensor.js'
import { readWeight } from '../checkpoint/values.js'

/** A parameter of the graph, read and rearranged when it is written. */
export interface Parameter {
  readonly name: string
  readonly shape: readonly number[]
  read(): Float32Array
}

/** The weights of a checkpoint by their canonical names, and what is made of them. */
export class Weights {
  readonly #weights: ReadonlyMap<string, Weight>

  constructor(weights: readonly Weight[]) {
    this.#weights = new Map(weights.map((weight) => [weight.name, weight]))
  }

  has(name: string): boolean {
    return this.#weights.has(name)
  }

  get(name: string): Parameter {
    const weight = this.#find(name)
    return { name, shape: weight.shape, read: () => readWeight(weight) }
  }

  /** The values themselves, for those few that the graph depends on. */
  values(name: string): Float32Array {
    return readWeight(this.#find(name))
  }

  /** A linear layer's weight [out, in] as MatMul takes it, [in, out]. */
  transposed(name: string): Parameter {
    const { shape, read } = this.get(name)
    const [rows = 1] = shape
    const columns = elements(shape) / rows
    return { name, shape: [columns, rows], read: () => transpose(read(), rows, columns) }
  }

  /** A product of two weights, such as a bias and its mask. */
  product(name: string, by: string): Parameter {
    const [{ shape, read }, factor] = [this.get(name), this.get(by)]
    return {
      name,
      shape,
      read: () => {
        const values = read()
        for (const [i, value] of factor.read().entries()) values[i] = values[i]! * value
        return values
      },
    }
  }

  #find(name: string): Weight {
    const weight = this.#weights.get(name)
    if (weight === undefined) throw new Error(`no weight ${name}`)
    return weight
  }
}

const BLOCK = 32

/** Rows x columns to columns x rows, block by block, which is several times as fast as line by line. */
export function transpose(from: Float32Array, rows: number, columns: number): Float32Array {
  const to = new Float32Array(from.length)
  for (let top = 0; top < rows; top += BLOCK)
    for (let left = 0; left < columns; left += BLOCK) {
      const [bottom, right] = [Math.min(rows, top + BLOCK), Math.min(columns, left + BLOCK)]
      for (let row = top; row < bottom; row++)
        for (let column = left; column < right; column++)
          to[column * rows + row] = from[row * columns + column]!
    }
  return to
}
