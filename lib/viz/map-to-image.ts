import type { RgbImage } from '../image/rgb-image.js'
import type { PixelMap } from '../request.js'
import { checkPixels } from '../support/arguments.js'

/**
 * Draws a map in gray: a mask's 0 and 1 as black and white, a confidence's 0 to 1 as black to white. A value that is not finite
 * is black.
 */
export function mapToImage(map: PixelMap<Uint8Array | Float32Array>): RgbImage {
  checkPixels(map, 'map')
  const { data: values, width, height } = map
  const data = new Uint8Array(3 * width * height)
  // A conversion to an integer of 8 bits would wrap what is out of range, and this one makes NaN 0.
  const gray = Uint8ClampedArray.from(values, (value) => 255 * value)
  gray.forEach((level, i) => data.fill(level, 3 * i, 3 * i + 3))
  return { data, width, height }
}
