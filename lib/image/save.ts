import { extname } from 'node:path'
import type { Sharp } from 'sharp'
import { FlowError } from '../errors.js'
import { toPath } from '../support/file-path.js'
import { shortPath } from '../support/quote.js'
import { writeWhole } from '../support/write-file.js'
import { reasonOf } from './sharp.js'
import { type RgbImage, toSharp } from './rgb-image.js'

// Colours of flow carry its values, so that lossy formats keep the full resolution of colour. WebP can do so only without loss.
const ENCODERS: Readonly<Record<string, (picture: Sharp) => Sharp>> = {
  '.png': (picture) => picture.png(),
  '.jpg': (picture) => picture.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
  '.jpeg': (picture) => picture.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
  '.webp': (picture) => picture.webp({ lossless: true }),
  '.avif': (picture) => picture.avif({ quality: 80, chromaSubsampling: '4:4:4' }),
  '.tif': (picture) => picture.tiff({ compression: 'deflate' }),
  '.tiff': (picture) => picture.tiff({ compression: 'deflate' }),
  '.gif': (picture) => picture.gif(),
}

/** The extensions of pictures that are written. */
export const PICTURE_EXTENSIONS: readonly string[] = Object.keys(ENCODERS)

/**
 * Writes a picture in the format that its extension names: `.png`, `.webp` or `.tif` without loss; `.jpg` or `.avif`; `.gif` in
 * 256 colours. The file appears complete or not at all.
 *
 * @throws {FlowError} `ERR_FRAME` for another extension, or if the picture does not fit its size or the format; `ERR_IO` if it
 *   cannot be written; `ERR_ARGUMENT` for a URL other than a file: URL; `ERR_NATIVE` if `sharp` cannot be loaded
 */
export async function saveImage(path: string | URL, image: RgbImage): Promise<void> {
  const file = toPath(path, 'path')
  const encode = ENCODERS[extname(file).toLowerCase()]
  if (encode === undefined)
    throw new FlowError(
      'ERR_FRAME',
      `${shortPath(file)}: pictures are written as ${PICTURE_EXTENSIONS.join(', ')}: give one of these extensions`,
    )
  const picture = encode(await toSharp(image))
  let bytes: Uint8Array
  try {
    bytes = await picture.toBuffer()
  } catch (cause) {
    const { width, height } = image
    throw new FlowError(
      'ERR_FRAME',
      `${shortPath(file)}: a picture of ${width} x ${height} pixels cannot be written so: ${reasonOf(cause)}; try .png`,
      { cause },
    )
  }
  await writeWhole(file, bytes)
}
