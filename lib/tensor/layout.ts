import { FlowError } from '../errors.js'
import { inJson } from '../support/quote.js'

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
      `shape: must be 1 to ${MOST_AXES} positive integers, not ${inJson(shape)}`,
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

/**
 * The layout of values that others placed. `strides` undefined are values side by side.
 *
 * @throws {FlowError} `ERR_ARGUMENT` unless all axes except one follow each other without a gap, as {@link rowsOf} needs it
 */
export function stridedLayout(shape: readonly number[], strides: readonly number[] | undefined): Layout {
  const tight = tightLayout(shape)
  if (strides === undefined) return tight
  const refuse = (what: string): never => {
    throw new FlowError(
      'ERR_ARGUMENT',
      `strides: ${strides.join(', ')} of ${shape.join(' x ')} values ${what}: give a copy whose values are side by side`,
    )
  }
  if (overlap(shape, strides)) refuse('overlap, or are not positive')
  const placed: number[] = []
  let next = 1 // the stride without a gap
  let gaps = 0
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    // The stride of an axis of one value says nothing.
    const stride = shape[axis] === 1 ? next : strides[axis]!
    if (stride < next) refuse('are of transposed axes')
    if (stride > next) gaps++
    placed.unshift(stride)
    next = shape[axis]! * stride
  }
  if (gaps > 1) refuse('have gaps at more than one axis')
  return { shape, strides: Object.freeze(placed) }
}

/** Whether the values of an axis reach into those of another one. */
function overlap(shape: readonly number[], strides: readonly number[]): boolean {
  const axes = shape.map((side, axis) => ({ side, stride: strides[axis]! })).filter(({ side }) => side > 1)
  let extent = 1
  for (const { side, stride } of axes.sort((a, b) => a.stride - b.stride)) {
    if (!Number.isSafeInteger(stride) || stride < extent) return true
    extent += (side - 1) * stride
  }
  return false
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
