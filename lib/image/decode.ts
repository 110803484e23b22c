import { access } from 'node:fs/promises'
import { FlowError, messageOf } from '../errors.js'
import { checkFrame } from '../frame.js'
import type { NativeFrame } from '../native/contract.js'
import { toPath } from '../support/file-path.js'
import { ioError } from '../support/io-error.js'
import { loadSharp } from './sharp.js'

/** Decoded pixels: 8 bits a channel, interleaved, rows from the top. */
export interface Picture {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  /** 1 is gray, 3 is RGB. */
  readonly channels: 1 | 3
}

/**
 * Decodes a picture. It is turned upright by its EXIF orientation and converted to sRGB; alpha is dropped.
 *
 * @param source a path, or the bytes of a file
 * @param name name of the picture in error messages
 * @throws {FlowError} `ERR_IO` if the file cannot be opened; `ERR_FRAME` if it is not a picture; `ERR_NATIVE` if the decoder
 *   cannot be loaded
 */
export async function decodePicture(source: string | Uint8Array, name: string): Promise<Picture> {
  if (typeof source === 'string')
    try {
      await access(source)
    } catch (cause) {
      throw ioError(name, 'read', cause)
    }
  const sharp = await loadSharp()
  try {
    const decoder = sharp(source).autoOrient().toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' })
    const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
    return { data, width: info.width, height: info.height, channels: info.channels === 1 ? 1 : 3 }
  } catch (cause) {
    throw new FlowError('ERR_FRAME', `${name}: cannot be decoded: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Decodes a picture, as {@link decodePicture}, to 8-bit RGB or gray.
 *
 * @throws {FlowError} as `decodePicture`; `ERR_ARGUMENT` for a URL that is not of a file
 */
export async function decodeFrame(source: string | URL, name: string): Promise<NativeFrame> {
  const path = toPath(source, name)
  const what = `${name}: ${path}`
  const { data, width, height, channels } = await decodePicture(path, what)
  return checkFrame({ data, width, height, format: channels === 1 ? 'gray' : 'rgb' }, what)
}
