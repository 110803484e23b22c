import { isUnknown } from '../formats/unknown.js'
import { allocateFloats } from '../support/allocate.js'
import { LEAST_KNOWN, type Planar } from './sample.js'

/** The weights of the pixels that make up each pixel of a resized line: `count` for each, from `first` on. Their sum is 1. */
interface Taps {
  readonly first: Int32Array
  readonly weights: Float64Array
  readonly count: number
}

/**
 * Triangles around the places of the new pixels, as wide as the old pixels or, where there are fewer new ones, as wide as those.
 * So an enlarged line is interpolated linearly, and a shrunk one is averaged.
 */
function triangles(from: number, to: number): Taps {
  const step = from / to
  const reach = Math.max(1, step)
  const count = Math.min(from, 2 * Math.ceil(reach) + 1)
  const first = new Int32Array(to)
  const weights = new Float64Array(to * count)
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * step - 0.5
    const start = Math.min(Math.max(Math.ceil(centre - reach), 0), from - count)
    first[i] = start
    let sum = 0
    for (let tap = 0; tap < count; tap++) {
      const weight = Math.max(0, 1 - Math.abs(start + tap - centre) / reach)
      weights[i * count + tap] = weight
      sum += weight
    }
    for (let tap = 0; tap < count; tap++) weights[i * count + tap]! /= sum
  }
  return { first, weights, count }
}

/** Writes a field at the size of another one, as `FlowField.resize` promises. */
export function resampleFlow(from: Planar, to: Planar): void {
  const { width, height, data } = from
  const pixels = width * height
  const [across, down] = [triangles(width, to.width), triangles(height, to.height)]
  // Rows first: of each new pixel the sum of its known x, of its known y, and of their weights.
  const narrow = to.width * height
  const rows = allocateFloats(3 * narrow, `resizing a ${width} x ${height} flow field`)
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < to.width; column++) {
      const start = row * width + across.first[column]!
      let sumX = 0
      let sumY = 0
      let known = 0
      for (let tap = 0; tap < across.count; tap++) {
        const weight = across.weights[column * across.count + tap]!
        const x = data[start + tap]!
        const y = data[start + tap + pixels]!
        if (weight === 0 || isUnknown(x, y)) continue
        sumX += weight * x
        sumY += weight * y
        known += weight
      }
      const at = row * to.width + column
      rows[at] = sumX
      rows[at + narrow] = sumY
      rows[at + 2 * narrow] = known
    }
  }
  const [scaleX, scaleY] = [to.width / width, to.height / height]
  const made = to.width * to.height
  for (let row = 0; row < to.height; row++) {
    for (let column = 0; column < to.width; column++) {
      let sumX = 0
      let sumY = 0
      let known = 0
      for (let tap = 0; tap < down.count; tap++) {
        const weight = down.weights[row * down.count + tap]!
        if (weight === 0) continue
        const at = (down.first[row]! + tap) * to.width + column
        sumX += weight * rows[at]!
        sumY += weight * rows[at + narrow]!
        known += weight * rows[at + 2 * narrow]!
      }
      const at = row * to.width + column
      to.data[at] = known < LEAST_KNOWN ? NaN : (scaleX * sumX) / known
      to.data[at + made] = known < LEAST_KNOWN ? NaN : (scaleY * sumY) / known
    }
  }
}
