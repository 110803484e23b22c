import { isUnknown } from '../formats/unknown.js'
import { isInside, type Point } from './point.js'

/** A field as it lies in memory. */
export interface Planar {
  readonly width: number
  readonly height: number
  /** All x, then all y. */
  readonly data: Float32Array
}

/** A vector is known if its known neighbours have at least this share of the weight. It is below 1/2 by less than rounding errors. */
export const LEAST_KNOWN = 0.5 - 1e-6

// Values are taken one by one in loops over pixels: taking them apart from an array, as elsewhere, costs half as much again.

/** The vector at any place, bilinear, as `FlowField.at` promises. */
export function sampleFlow({ data, width, height }: Planar, x: number, y: number, into: Point): Point {
  into.x = into.y = NaN
  if (!isInside(x, y, width, height)) return into
  const column = Math.min(Math.max(x, 0), width - 1)
  const row = Math.min(Math.max(y, 0), height - 1)
  const left = Math.floor(column)
  const top = Math.floor(row)
  const right = column - left
  const below = row - top
  const pixels = width * height
  let known = 0
  let sumX = 0
  let sumY = 0
  for (let tap = 0; tap < 4; tap++) {
    const across = tap & 1
    const down = tap >> 1
    const weight = (across === 1 ? right : 1 - right) * (down === 1 ? below : 1 - below)
    // A neighbour without weight may lie outside.
    if (weight === 0) continue
    const at = (top + down) * width + left + across
    const vx = data[at]!
    const vy = data[at + pixels]!
    if (isUnknown(vx, vy)) continue
    known += weight
    sumX += weight * vx
    sumY += weight * vy
  }
  if (known < LEAST_KNOWN) return into
  into.x = sumX / known
  into.y = sumY / known
  return into
}
