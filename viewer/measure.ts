import type { Grid } from '../lib/cli/view/page-data.js'
import type { Field, LoadedShot } from './shots.js'

/** A vector in pixels: x right, y down. NaN where it is unknown. */
export interface Vector {
  readonly x: number
  readonly y: number
}

/** What is known of one pixel. Undefined is what the page does not have; NaN is unknown. */
export interface Readings {
  /** The pixel's place in the whole flow. */
  readonly at: Vector
  readonly flow: Vector
  readonly truth: Vector | undefined
  readonly error: number | undefined
  readonly thereAndBack: number | undefined
  readonly confidence: number | undefined
  readonly occlusion: number | undefined
}

/** @param i the pixel's place on the grid */
export function readingsAt(shot: LoadedShot, i: number, grid: Grid): Readings {
  const { columns, step, offset } = grid
  const { flow, truth, backward } = shot
  return {
    at: { x: offset + step * (i % columns), y: offset + step * Math.floor(i / columns) },
    flow: { x: flow.x[i]!, y: flow.y[i]! },
    truth: truth && { x: truth.x[i]!, y: truth.y[i]! },
    error: truth && endPointError(flow, truth, i),
    thereAndBack: backward && thereAndBack(flow, backward, i, grid),
    confidence: shot.confidence?.[i],
    occlusion: shot.occlusion?.[i],
  }
}

/** The distance, in pixels, from the end of a motion to where the ground truth has it. */
export function endPointError(flow: Field, truth: Field, i: number): number {
  return Math.hypot(flow.x[i]! - truth.x[i]!, flow.y[i]! - truth.y[i]!)
}

/**
 * How far, in pixels, a pixel ends from its start when it goes along the flow and back along the backward flow there, taken between
 * four pixels. NaN where either is unknown, or where the pixel leaves the frame.
 */
export function thereAndBack(flow: Field, backward: Field, i: number, grid: Grid): number {
  const { columns, rows, step } = grid
  const dx = flow.x[i]!
  const dy = flow.y[i]!
  const column = (i % columns) + dx / step
  const row = Math.floor(i / columns) + dy / step
  if (!(column >= 0 && column <= columns - 1 && row >= 0 && row <= rows - 1)) return NaN
  const left = Math.floor(column)
  const top = Math.floor(row)
  const a = top * columns + left
  const right = left < columns - 1 ? 1 : 0
  const down = top < rows - 1 ? columns : 0
  const between = (plane: Float32Array) => {
    const u = column - left
    const v = row - top
    const above = plane[a]! * (1 - u) + plane[a + right]! * u
    const below = plane[a + down]! * (1 - u) + plane[a + down + right]! * u
    return above * (1 - v) + below * v
  }
  return Math.hypot(dx + between(backward.x), dy + between(backward.y))
}

/** The direction of a vector in degrees, -180 to 180: 0 is right, 90 down. */
export function angleOf({ x, y }: Vector): number {
  return (Math.atan2(y, x) * 180) / Math.PI
}
