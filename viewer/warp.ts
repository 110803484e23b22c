import type { Field } from './shots.js'

/**
 * The second picture as the first one would look like if the flow were right: each pixel is what its motion leads to, between
 * four pixels by bilinear interpolation. Transparent where the motion is unknown or leads out of the picture.
 *
 * @param step pixels of the flow per pixel of the picture
 */
export function warpBack(second: ImageData, { x, y }: Field, step: number): ImageData {
  const { width, height, data } = second
  const warped = new ImageData(width, height)
  const out = warped.data
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const i = row * width + column
      const toX = column + x[i]! / step
      const toY = row + y[i]! / step
      // Written so that NaN leads out of the picture.
      if (!(toX >= -0.5 && toX <= width - 0.5 && toY >= -0.5 && toY <= height - 0.5)) continue
      const left = Math.min(Math.max(Math.floor(toX), 0), Math.max(width - 2, 0))
      const top = Math.min(Math.max(Math.floor(toY), 0), Math.max(height - 2, 0))
      const right = Math.min(left + 1, width - 1)
      const bottom = Math.min(top + 1, height - 1)
      const u = Math.min(Math.max(toX - left, 0), 1)
      const v = Math.min(Math.max(toY - top, 0), 1)
      const [a, b] = [4 * (top * width + left), 4 * (top * width + right)]
      const [c, d] = [4 * (bottom * width + left), 4 * (bottom * width + right)]
      for (let channel = 0; channel < 3; channel++) {
        const above = data[a + channel]! * (1 - u) + data[b + channel]! * u
        const below = data[c + channel]! * (1 - u) + data[d + channel]! * u
        out[4 * i + channel] = Math.round(above * (1 - v) + below * v)
      }
      out[4 * i + 3] = 255
    }
  return warped
}
