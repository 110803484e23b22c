import type { Frame } from '../frame.js'
import type { OutputSize } from '../size.js'
import { toBuffer } from '../support/brands.js'
import type { RgbImage } from './rgb-image.js'
import { loadSharp } from './sharp.js'

/** A decoded frame as RGB, resized to the size of the flow: the background of its arrows. */
export async function backgroundOf(frame: Frame, { width, height }: OutputSize): Promise<RgbImage> {
  const channels = frame.format === 'gray' ? 1 : 3
  const sharp = await loadSharp()
  const data = await sharp(toBuffer(frame.data), {
    raw: { width: frame.width, height: frame.height, channels },
  })
    .resize(width, height, { fit: 'fill' })
    .toColourspace('srgb')
    .raw()
    .toBuffer()
  return { data, width, height }
}
