import { elements } from '../checkpoint/layout.js'
import type { NamedValues } from '../checkpoint/weights.js'

/** A linear layer's weight [out, in] as MatMul takes it, [in, out]. */
export function transposed({ name, shape, read }: NamedValues): NamedValues {
  const [rows = 1] = shape
  const columns = elements(shape) / rows
  return { name, shape: [columns, rows], read: () => transpose(read(), rows, columns) }
}

/** A matrix with rows of zeros added at its end. */
export function padded({ name, shape, read }: NamedValues, rows: number): NamedValues {
  const [, columns = 1] = shape
  const values = () => {
    const all = new Float32Array(rows * columns)
    all.set(read())
    return all
  }
  return { name, shape: [rows, columns], read: values }
}

/** The products of the values of two weights, such as a bias and its mask. */
export function product({ name, shape, read }: NamedValues, by: NamedValues): NamedValues {
  return {
    name,
    shape,
    read: () => {
      const factors = by.read()
      return read().map((value, i) => value * factors[i]!)
    },
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
