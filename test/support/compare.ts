import { expect } from 'vitest'
import type { FlowErrorCode } from '../../lib/errors.js'

/** The relative L2 error |a - b| / |b| of two vectors. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  let difference = 0
  let norm = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2
    norm += expected[i]! ** 2
  }
  return Math.sqrt(difference / norm)
}

/** The cosine of the angle between two vectors. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  let [product, squares, others] = [0, 0, 0]
  for (let i = 0; i < b.length; i++) {
    product += a[i]! * b[i]!
    squares += a[i]! ** 2
    others += b[i]! ** 2
  }
  return product / Math.sqrt(squares * others)
}

/** The largest difference of two values; NaN if one of the values is. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!)
    if (difference > largest || Number.isNaN(difference)) largest = difference
  }
  return largest
}

/** The mean absolute difference of the values of two arrays; NaN if one of the values is. */
export function meanDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length)
  let sum = 0
  for (let i = 0; i < expected.length; i++) sum += Math.abs(actual[i]! - expected[i]!)
  return sum / expected.length
}

/** Whether two arrays hold the same bits. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  )
}

/** Transposes rows x cols to cols x rows, such as tokens x channels to channels first. */
export function transpose(values: ArrayLike<number>, rows: number, cols: number): Float32Array {
  const result = new Float32Array(rows * cols)
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) result[c * rows + r] = values[r * cols + c]!
  return result
}

/** A matcher for `expect(...).toThrow` and `.rejects`: a FlowError of this code whose message contains all `parts`. */
export function flowError(code: FlowErrorCode, ...parts: string[]): unknown {
  const message = new RegExp(parts.map((part) => `(?=[^]*${escape(part)})`).join(''))
  return expect.objectContaining({
    name: 'FlowError',
    code,
    message: expect.stringMatching(message),
  })
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
