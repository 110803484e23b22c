import { FlowError } from '../errors.js'

/** Where the values of a tensor are, from the first one on. Strides are in values. */
export interface Layout {
  readonly shape: readonly number[]
  readonly strides: readonly number[]
}

/** Rows of values side by side, `step` values from row to row. */
export interface Rows {
  readonly rows: number
  readonly length: number
  readonly step: number
}

/** More has no use, and errors would print all of them. */
const MOST_AXES = 8

/** @throws {FlowError} `ERR_ARGUMENT` if `shape` is not 1 to 8 positive integers */
export function checkShape(shape: readonly number[]): readonly number[] {
  const valid =
    Array.isArray(shape) &&
    shape.length >= 1 &&
    shape.length <= MOST_AXES &&
    shape.every((side) => Number.isSafeInteger(side) && side > 0)
  if (!valid)
    throw new FlowError(
      'ERR_ARGUMENT',
      `shape: must be 1 to ${MOST_AXES} positive integers, not ${JSON.stringify(shape) ?? String(shape)}`,
    )
  return Object.freeze([...shape])
}

/** The number of values. It may be more than memory or an integer holds. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1)
}

/** The layout of values side by side, the last axis first. */
export function tightLayout(shape: readonly number[]): Layout {
  const strides = shape.map((_, axis) => countOf(shape.slice(axis + 1)))
  return { shape, strides: Object.freeze(strides) }
}

/** The number of values from the first one to behind the last one. */
export function extentOf({ shape, strides }: Layout): number {
  return shape.reduce((last, side, axis) => last + (side - 1) * strides[axis]!, 1)
}

/** The rows of a layout whose axes, except one, have no gaps: all layouts that tensors have. */
export function rowsOf({ shape, strides }: Layout): Rows {
  let length = 1
  let axis = shape.length
  while (axis > 0 && strides[axis - 1] === length) length *= shape[--axis]!
  return { rows: countOf(shape.slice(0, axis)), length, step: axis === 0 ? length : strides[axis - 1]! }
}
