import { FlowField } from './flow-field.js'
import type { OutputSize } from './size.js'

/** Whether `large` has twice the width and twice the height of `small`, as Spring's ground truth has of its frames. */
export function isTwice(large: OutputSize, small: OutputSize): boolean {
  return large.width === 2 * small.width && large.height === 2 * small.height
}

/**
 * Every second pixel of every second row of a field of twice the size, as Spring's own loader takes its ground truth. The values
 * stay as they are: Spring's are in pixels of the frames, not of the field.
 */
export function subsample(flow: FlowField): FlowField {
  const half = new FlowField(flow.width / 2, flow.height / 2)
  half.x.set(subsampleValues(flow.x, half))
  half.y.set(subsampleValues(flow.y, half))
  return half
}

/**
 * The same of one value per pixel.
 *
 * @param half the size of the result
 */
export function subsampleValues(values: ArrayLike<number>, { width, height }: OutputSize): Float32Array {
  const taken = new Float32Array(width * height)
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      taken[row * width + column] = values[2 * (2 * row * width + column)]!
  return taken
}
