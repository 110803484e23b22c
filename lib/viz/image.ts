import { rename, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import sharp, { type Sharp } from 'sharp'
import { FlowError } from '../errors.js'

/** An 8-bit RGB picture: `data` is `3 * width * height` bytes, interleaved, row by row. */
export interface RgbImage {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
}

/** A picture, or what holds one: the path or the bytes of a file that `sharp` decodes. */
export type ImageSource = RgbImage | string | Uint8Array

/**
 * Decodes a picture; transparency is dropped. An {@link RgbImage} is returned as it is.
 *
 * @throws FlowError `ERR_FRAME` if it cannot be decoded, or its data do not fit its size.
 */
export async function loadImage(source: ImageSource): Promise<RgbImage> {
  if (typeof source !== 'string' && !(source instanceof Uint8Array)) return checkImage(source)
  try {
    const decoder = sharp(source).toColourspace('srgb').removeAlpha().raw()
    const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
    return checkImage({ data, width: info.width, height: info.height })
  } catch (cause) {
    const name = typeof source === 'string' ? source : 'the picture'
    throw new FlowError('ERR_FRAME', `cannot decode ${name}: ${reasonOf(cause)}`, { cause })
  }
}

/** The bytes of a PNG file. */
export async function encodePng(image: RgbImage): Promise<Uint8Array> {
  return toSharp(image).png().toBuffer()
}

/**
 * Writes a PNG file. The file appears complete or not at all.
 *
 * @throws FlowError `ERR_IO` if it cannot be written; `ERR_FRAME` if the data do not fit the size.
 */
export async function savePng(path: string, image: RgbImage): Promise<void> {
  const bytes = await encodePng(image)
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    await writeFile(temporary, bytes, { flag: 'wx' })
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw new FlowError('ERR_IO', `cannot write ${path}: ${reasonOf(cause)}`, { cause })
  }
}

/** The picture as the start of a `sharp` pipeline. */
export function toSharp(image: RgbImage): Sharp {
  const { data, width, height } = checkImage(image)
  return sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false })
}

function checkImage(image: RgbImage): RgbImage {
  if (image.data.length !== 3 * image.width * image.height) {
    const { data, width, height } = image
    throw new FlowError('ERR_FRAME', `a ${width} x ${height} RGB picture is not of ${data.length} bytes`)
  }
  return image
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
