import { isUint8Array } from 'node:util/types'
import { FlowError } from './errors.js'
import { isResizable, WHY_NOT_RESIZABLE } from './support/allocate.js'
import { quoted } from './support/quote.js'
import type { NativeFrame } from './native/contract.js'

/** Every {@link PixelFormat}. */
export const PIXEL_FORMATS = ['rgb', 'rgba', 'bgr', 'bgra', 'gray', 'nv12'] as const

/**
 * Memory layout of a frame's pixels: 8-bit channels, interleaved, rows from the top. Alpha is ignored.
 *
 * `nv12` comes from cameras and hardware decoders: `height` rows of luma, then `height / 2` rows of interleaved U and V (ITU-R
 * BT.601, video range). Both sides of an nv12 frame are even.
 */
export type PixelFormat = (typeof PIXEL_FORMATS)[number]

/**
 * A decoded frame, such as an `ImageData`.
 *
 * `data` is read in place, even if it is a view of a SharedArrayBuffer. Do not change, transfer or resize it before the
 * call's promise is settled.
 */
export interface Frame {
  readonly data: Uint8Array | Uint8ClampedArray
  /** Pixels, 1 to 65535. */
  readonly width: number
  /** Pixels, 1 to 65535. */
  readonly height: number
  /** Default: rgb, rgba or gray, whichever has the length of `data`. */
  readonly format?: PixelFormat | undefined
  /** Bytes from one row to the next. Default: rows follow each other without padding. */
  readonly stride?: number | undefined
}

/** Size and format of a frame to be made. */
export interface FrameShape {
  /** Pixels, 1 to 65535. */
  readonly width: number
  /** Pixels, 1 to 65535. */
  readonly height: number
  /** Default: rgb. */
  readonly format?: PixelFormat | undefined
}

/** A frame to be filled. All its bytes are zero at first: black, except in nv12. Its rows have no padding. */
export interface FrameBuffer extends Frame {
  readonly data: Uint8Array<ArrayBuffer>
  readonly format: PixelFormat
  /** Bytes of a row. */
  readonly stride: number
}

/**
 * A picture that is decoded first: a path, `-` for standard input, a file: URL, or the bytes of a file (PNG, JPEG, WebP, AVIF,
 * TIFF, GIF, SVG, BMP, PPM, PGM, PBM, PAM). Pixels are never given as bytes alone, but as a {@link Frame}.
 */
export type EncodedSource = string | URL | Uint8Array

/** A decoded frame, or a picture to decode. */
export type FrameSource = Frame | EncodedSource

const MAX_SIDE = 65_535
const MAX_STRIDE = 2 ** 31 - 1
const ROW_BYTES: Readonly<Record<PixelFormat, number>> = {
  rgb: 3,
  rgba: 4,
  bgr: 3,
  bgra: 4,
  gray: 1,
  nv12: 1,
}

/** Throws a `FlowError`. The name of the frame is put in front of `message`. */
type Fail = (message: string) => never

/** Whether a source has to be decoded first. */
export function isFile(source: FrameSource): source is EncodedSource {
  return typeof source === 'string' || source instanceof URL || isUint8Array(source)
}

/**
 * Checks a decoded frame and fills in its defaults.
 *
 * @param name name of the frame in error messages
 * @throws {FlowError} `ERR_FRAME`; the message has the expected and the given value
 */
export function checkFrame(frame: Frame, name: string): NativeFrame {
  const fail: Fail = (message) => {
    throw new FlowError('ERR_FRAME', `${name}: ${message}`)
  }
  if (typeof frame !== 'object' || frame === null)
    fail(`a frame is { data, width, height }, a path or the bytes of a picture, not ${describe(frame)}`)
  const { data, width, height } = frame
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray))
    fail(`its data must be a Uint8Array, Buffer or Uint8ClampedArray, not ${describe(data)}`)
  if (isResizable(data)) fail(`its data are in a resizable ArrayBuffer, ${WHY_NOT_RESIZABLE}`)
  checkSides(width, height, fail)
  const format = frame.format ?? defaultFormat(frame, fail)
  const { row, rows } = layOut(width, height, format, fail)
  const size = `${width} x ${height} ${format}`
  const { stride } = frame
  if (stride === undefined) {
    if (data.length !== row * rows)
      fail(
        `a ${size} frame is ${row * rows} bytes, its data are ${data.length}: if rows are padded, give the stride`,
      )
    return { data, width, height, stride: row, format }
  }
  if (!Number.isInteger(stride) || stride < row || stride > MAX_STRIDE)
    fail(`its stride must be an integer of at least ${row} bytes (a row of ${size}), not ${describe(stride)}`)
  const least = stride * (rows - 1) + row
  if (data.length < least)
    fail(
      `a ${size} frame of stride ${stride} needs at least ${least} bytes (${rows} rows), its data are ${data.length}`,
    )
  return { data, width, height, stride, format }
}

/**
 * Makes a frame whose rows have no padding.
 *
 * @param allocate allocates `bytes` bytes; `what` names them in error messages
 * @throws {FlowError} `ERR_FRAME` for an invalid size or format
 */
export function makeFrame(
  shape: FrameShape,
  allocate: (bytes: number, what: string) => Uint8Array<ArrayBuffer>,
): FrameBuffer {
  const fail: Fail = (message) => {
    throw new FlowError('ERR_FRAME', `frame: ${message}`)
  }
  if (typeof shape !== 'object' || shape === null)
    fail(`a frame is made from { width, height, format }, not ${describe(shape)}`)
  const { width, height, format = 'rgb' } = shape
  checkSides(width, height, fail)
  const { row, rows } = layOut(width, height, format, fail)
  const data = allocate(row * rows, `a ${width} x ${height} ${format} frame`)
  return { data, width, height, stride: row, format }
}

/** Like {@link checkFrame}, for synchronous calls: they cannot wait for a decoder, so they refuse files. */
export function checkDecoded(source: FrameSource, name: string): NativeFrame {
  if (isFile(source))
    throw new FlowError(
      'ERR_FRAME',
      `${name}: a synchronous call takes decoded frames, { data, width, height }, not ${isUint8Array(source) ? 'the bytes of a picture' : `the path ${quoted(String(source))}`}: ` +
        'decode it before, or use the asynchronous call',
    )
  return checkFrame(source, name)
}

function checkSides(width: number, height: number, fail: Fail): void {
  for (const [side, value] of Object.entries({ width, height }))
    if (!Number.isInteger(value) || value < 1 || value > MAX_SIDE)
      fail(`its ${side} must be an integer from 1 to ${MAX_SIDE}, not ${describe(value)}`)
}

/** Bytes per row, and number of rows. The chroma rows of nv12 are counted. */
function layOut(width: number, height: number, format: PixelFormat, fail: Fail) {
  if (!PIXEL_FORMATS.includes(format))
    fail(`its format must be one of ${PIXEL_FORMATS.join(', ')}, not ${describe(format)}`)
  if (format === 'nv12' && (width % 2 !== 0 || height % 2 !== 0))
    fail(`an nv12 frame must have even sides, not ${width} x ${height}`)
  return { row: ROW_BYTES[format] * width, rows: format === 'nv12' ? (height / 2) * 3 : height }
}

function defaultFormat({ data, width, height, stride }: Frame, fail: Fail): PixelFormat {
  if (stride !== undefined) return fail('a frame with a stride needs a format as well')
  const pixels = width * height
  if (data.length === 3 * pixels) return 'rgb'
  if (data.length === 4 * pixels) return 'rgba'
  if (data.length === pixels) return 'gray'
  if (data.length === 1.5 * pixels)
    return fail(`${data.length} bytes may be nv12 or another format: give the format`)
  return fail(
    `${data.length} bytes are not ${width} x ${height} pixels: rgb is ${3 * pixels} bytes, rgba ${4 * pixels}, gray ${pixels}; ` +
      'if rows are padded, give format and stride',
  )
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return `an object of class ${value.constructor?.name ?? 'null'}`
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}
