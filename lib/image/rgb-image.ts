import type { Sharp } from 'sharp'
import { FlowError } from '../errors.js'
import { type EncodedSource, isFile } from '../frame.js'
import { described } from '../support/arguments.js'
import { isBytes, isUint8Array, toBuffer } from '../support/brands.js'
import { toPath } from '../support/file-path.js'
import { shortPath } from '../support/quote.js'
import { writeWhole } from '../support/write-file.js'
import { type DecodeOptions, decodePicture, type Picture } from './decode.js'
import { loadSharp } from './sharp.js'

/** An 8-bit RGB picture: `data` is `3 * width * height` bytes, interleaved, row by row. */
export interface RgbImage {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
}

/** A picture, or a file to decode: its path, `-` for standard input, its file: URL or its bytes. */
export type ImageSource = RgbImage | EncodedSource

/** A picture that was decoded. */
export interface LoadedImage extends RgbImage {
  /** The fault in its file that the decoder recovered from, such as a missing end. Undefined if there is none. */
  readonly fault?: string | undefined
}

/**
 * Decodes a picture: PNG, JPEG, WebP, AVIF, TIFF, GIF, SVG, BMP, PPM, PGM, PBM or PAM. It is turned upright by its EXIF orientation and
 * converted to 8-bit sRGB; transparency is dropped. TIFF's floats are read if they are from 0 to 1. An {@link RgbImage} is
 * returned unchanged.
 *
 * @param options `strict`: refuse files with faults that decoders recover from
 * @throws {FlowError} `ERR_IO` if the file cannot be opened; `ERR_FRAME` if it cannot be decoded, or its data do not fit its
 *   size; `ERR_ARGUMENT` for a URL other than a file: URL; `ERR_NATIVE` if `sharp` cannot be loaded
 */
export async function loadImage(source: ImageSource, options: DecodeOptions = {}): Promise<LoadedImage> {
  if (!isFile(source)) return checkImage(source)
  const name = isUint8Array(source) ? 'the picture' : shortPath(toPath(source, 'the picture'))
  return toRgb(await decodePicture(source, name, options))
}

/**
 * The bytes of a PNG file.
 *
 * @throws {FlowError} `ERR_FRAME` if the data do not fit the size; `ERR_NATIVE` if `sharp` cannot be loaded
 */
export async function encodePng(image: RgbImage): Promise<Uint8Array> {
  return (await toSharp(image)).png().toBuffer()
}

/**
 * Writes a PNG file. The file appears complete or not at all.
 *
 * @throws {FlowError} `ERR_IO` if it cannot be written; `ERR_ARGUMENT` for a URL other than a file: URL; else as `encodePng`
 */
export async function savePng(path: string | URL, image: RgbImage): Promise<void> {
  const file = toPath(path, 'path')
  await writeWhole(file, await encodePng(image))
}

/** The picture as the start of a `sharp` pipeline. */
export async function toSharp(image: RgbImage): Promise<Sharp> {
  const { data, width, height } = checkImage(image)
  const sharp = await loadSharp()
  return sharp(toBuffer(data), { raw: { width, height, channels: 3 }, limitInputPixels: false })
}

function toRgb({ data, width, height, channels, fault }: Picture): LoadedImage {
  if (channels === 3) return { data, width, height, fault }
  const rgb = new Uint8Array(3 * data.length)
  for (let i = 0; i < data.length; i++) rgb.fill(data[i]!, 3 * i, 3 * i + 3)
  return { data: rgb, width, height, fault }
}

function checkImage(image: RgbImage): RgbImage {
  if (typeof image !== 'object' || image === null || !isBytes(image.data))
    throw new FlowError(
      'ERR_FRAME',
      `a picture is a path, a file: URL, the bytes of a file, or { data, width, height } with data in a Uint8Array, not ${described(image)}`,
    )
  if (image.data.length !== 3 * image.width * image.height) {
    const { data, width, height } = image
    throw new FlowError(
      'ERR_FRAME',
      `a ${width} x ${height} RGB picture takes ${3 * width * height} bytes, not ${data.length}`,
    )
  }
  return image
}
