import { FlowError } from '../errors.js'
import { checkFrame, type EncodedSource, type Frame } from '../frame.js'
import type { NativeFrame } from '../native/contract.js'
import { isUint8Array, toBuffer } from '../support/brands.js'
import { kindOf } from '../support/file-kind.js'
import { toPath } from '../support/file-path.js'
import { quoted, shortPath } from '../support/quote.js'
import { readWhole } from '../support/read-file.js'
import { decodeBmp, looksLikeBmp } from './bmp.js'
import { decodeNetpbm, looksLikeNetpbm } from './netpbm.js'
import { decodePam, looksLikePam } from './pam.js'
import { type Samples, toBytes, Undecodable } from './samples.js'
import { loadSharp, reasonOf } from './sharp.js'
import { decodeTiffFloats, looksLikeTiff } from './tiff.js'

/** Decoded pixels: 8 bits a channel, interleaved, rows from the top. */
export interface Picture {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  /** 1 is gray, 3 is RGB. */
  readonly channels: 1 | 3
  /** The fault that the decoder recovered from, such as a missing end; undefined if the file has none. */
  readonly fault?: string | undefined
}

export interface DecodeOptions {
  /** Whether a fault that decoders recover from is an error. Default false: the picture is taken as far as it goes. */
  readonly strict?: boolean | undefined
}

/** The kinds of pictures that are read, for messages and help. */
export const READ_KINDS = 'PNG, JPEG, WebP, AVIF, TIFF, GIF, SVG, BMP, PPM, PGM, PBM or PAM'

/**
 * Decodes a picture. It is turned upright by its EXIF orientation and converted to sRGB; alpha is dropped. The floats of a
 * TIFF, 0 to 1, are spread over 0 to 255.
 *
 * @param source a path, `-` for standard input, a file: URL, or the bytes of a file
 * @param name name of the picture in error messages
 * @throws {FlowError} `ERR_IO` if the file cannot be opened; `ERR_FRAME` if it is not a picture; `ERR_ARGUMENT` for a URL that is
 *   not of a file; `ERR_NATIVE` if the decoder cannot be loaded
 */
export async function decodePicture(
  source: EncodedSource,
  name: string,
  options: DecodeOptions = {},
): Promise<Picture> {
  if (isUint8Array(source)) {
    return decodeBytes(toBuffer(source), name, options)
  }
  return decodeBytes(
    await readWhole(toPath(source, name), { name, expected: 'a picture', code: 'ERR_FRAME' }),
    name,
    options,
  )
}

/** Decodes a picture, as {@link decodePicture}, to a frame in 8-bit RGB or gray, and its fault. */
export async function decodeFrame(
  source: EncodedSource,
  name: string,
  options: DecodeOptions = {},
): Promise<{ readonly frame: Frame; readonly fault: string | undefined }> {
  const what = isUint8Array(source) ? name : `${name}: ${shortPath(toPath(source, name))}`
  const { data, width, height, channels, fault } = await decodePicture(source, what, options)
  const frame = { data, width, height, format: channels === 1 ? 'gray' : 'rgb' } as const
  checkFrame(frame, what)
  return { frame, fault }
}

let warned = false

/** As {@link decodeFrame}, for calls, whose results have no place for a fault: the first one of the process is a warning. */
export async function decodeForCall(source: EncodedSource, name: string): Promise<NativeFrame> {
  const { frame, fault } = await decodeFrame(source, name)
  if (fault !== undefined && !warned) {
    warned = true
    const file = isUint8Array(source) ? name : String(source)
    process.emitWarning(`${quoted(file)} has a fault: ${fault}. It was decoded as far as it goes.`, {
      code: 'DINOV3_FLOW_FAULT',
      detail: 'Further pictures with faults are not reported. loadImage with { strict: true } refuses them.',
    })
  }
  return checkFrame(frame, name)
}

/** The samples of a PBM, PGM, PPM, PAM, BMP, or TIFF of floats, which `sharp` does not read as they are; undefined for others. */
export async function decodeOwn(bytes: Uint8Array): Promise<Samples | undefined> {
  if (looksLikeNetpbm(bytes)) return decodeNetpbm(bytes)
  if (looksLikePam(bytes)) return decodePam(bytes)
  if (looksLikeBmp(bytes)) return decodeBmp(bytes)
  return looksLikeTiff(bytes) ? decodeTiffFloats(bytes) : undefined
}

/** The error for bytes that no decoder takes. */
export function undecodable(bytes: Uint8Array, name: string, cause: unknown): FlowError {
  if (cause instanceof FlowError) return cause
  const kind = kindOf(bytes)
  if (bytes.length === 0) return new FlowError('ERR_FRAME', `${name}: is ${kind}: get it again`, { cause })
  const reason = cause instanceof Undecodable ? cause.message : reasonOf(cause)
  const unknown = /unsupported image format/.test(reason)
  const message = unknown
    ? `is ${kind}, not a picture of a kind that is read (${READ_KINDS}): save it as PNG` + hint(bytes)
    : `is ${kind} that cannot be decoded: ${reason}${cause instanceof Undecodable ? '' : ': get it again, or save it anew'}`
  return new FlowError('ERR_FRAME', `${name}: ${message}`, { cause })
}

async function decodeBytes(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Picture> {
  try {
    const own = await decodeOwn(bytes)
    if (own === undefined) return await decodeBySharp(bytes, name, options)
    const { width, height, channels } = own
    return { data: toBytes(own), width, height, channels }
  } catch (cause) {
    throw undecodable(bytes, name, cause)
  }
}

async function decodeBySharp(bytes: Uint8Array, name: string, { strict }: DecodeOptions): Promise<Picture> {
  const sharp = await loadSharp()
  const decode = async (failOn: 'warning' | 'truncated' | 'none'): Promise<Picture> => {
    const decoder = sharp(bytes, { failOn })
      .autoOrient()
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
    const { data, info } = await decoder.toBuffer({ resolveWithObject: true })
    return { data, width: info.width, height: info.height, channels: info.channels === 1 ? 1 : 3 }
  }
  const faults: unknown[] = []
  // A JPEG that ends early is gray from there on, in every decoder. Of any other kind, all pixels must be there.
  for (const failOn of isJpeg(bytes)
    ? (['warning', 'truncated', 'none'] as const)
    : (['warning', 'truncated'] as const))
    try {
      const picture = await decode(failOn)
      if (faults.length === 0) return picture
      const fault = reasonOf(...faults)
      if (strict !== true) return { ...picture, fault }
      throw new FlowError(
        'ERR_FRAME',
        `${name}: is ${kindOf(bytes)} with a fault: ${fault}: get it again, or read it without strict`,
        { cause: faults[0] },
      )
    } catch (cause) {
      if (cause instanceof FlowError) throw cause
      faults.push(cause)
    }
  throw faults[0]
}

/** Whether a file's first bytes are those of a JPEG. */
export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff
}

function hint(bytes: Uint8Array): string {
  if (kindOf(bytes).startsWith('a video')) return ', frame by frame, such as with ffmpeg'
  return kindOf(bytes).startsWith('binary data')
    ? '; raw pixels are given as { data, width, height, format }'
    : ''
}
