import { listed } from '../support/quote.js'
import { Malformed } from './malformed.js'

/** PyTorch's own limit. */
const MOST_AXES = 64

/** Whether a value from a file is a non-negative integer that a double holds exactly. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

/**
 * Checks a shape or strides read from a file.
 *
 * @throws {Malformed} unless it is a list of at most 64 non-negative whole numbers
 */
export function axes(value: unknown, what: 'shape' | 'strides'): number[] {
  if (!Array.isArray(value)) throw new Malformed(`its ${what} are not a list`)
  if (value.length > MOST_AXES) throw new Malformed(`it has ${value.length} axes, more than ${MOST_AXES}`)
  if (!value.every(isCount))
    throw new Malformed(`its ${what} ${listed(value)} hold something other than a count`)
  return value
}

/**
 * Number of elements of a shape.
 *
 * @throws {Malformed} if a double cannot hold the product exactly
 */
export function elements(shape: readonly number[]): number {
  if (shape.includes(0)) return 0
  let product = 1
  for (const n of shape) {
    product *= n
    if (!Number.isSafeInteger(product)) throw new Malformed(`its shape ${listed(shape)} is impossibly large`)
  }
  return product
}

/** Row-major strides, in elements. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides: number[] = []
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step
    step *= Math.max(1, shape[axis] ?? 1)
  }
  return strides
}

/**
 * Number of elements from the first to the last that a strided tensor touches, both included.
 *
 * @throws {Malformed} if a double cannot hold that number exactly
 */
export function extent(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0
  let last = 0
  for (const [axis, n] of shape.entries()) {
    last += (n - 1) * (strides[axis] ?? 0)
    if (!Number.isSafeInteger(last))
      throw new Malformed(`its strides ${listed(strides)} are impossibly large`)
  }
  return last + 1
}
