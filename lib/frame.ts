import { isPromise } from 'node:util/types'
import { FlowError } from './errors.js'
import type { NativeFrame, NativePlane, NativeRange } from './native/contract.js'
import {
  type FormatRow,
  formatRow,
  PIXEL_FORMATS,
  type PixelFormat,
  type PlaneSize,
  YUV_MATRICES,
  YUV_RANGES,
  type YuvMatrix,
  type YuvRange,
  yuvToRgb,
} from './pixel-formats.js'
import { isResizable } from './support/allocate.js'
import { described } from './support/arguments.js'
import { isBytes, isUint8Array, isUrl } from './support/brands.js'
import { quoted } from './support/quote.js'
import { placeOf, Tensor } from './tensor.js'
import { checkCudaArray, type CudaArraySource, isCudaArray, typestrOf } from './tensor/cuda-array.js'
import { isAddress, isHandle } from './tensor/address.js'

/** How YUV becomes RGB. For a YUV format only. */
export interface YuvCode {
  /** Default `'video'`. Phones, and cameras that give MJPEG, have `'full'`. */
  readonly range?: YuvRange | undefined
  /** Default `'bt601'`. Video of 720 rows or more mostly has `'bt709'`. */
  readonly matrix?: YuvMatrix | undefined
}

/** Where a plane is, as in WebCodecs' `PlaneLayout`. */
export interface FramePlane {
  /** Bytes from the begin of `data` to the first row. */
  readonly offset: number
  /** Bytes from one row to the next. */
  readonly stride: number
}

/**
 * A decoded frame, such as an `ImageData`.
 *
 * `data` is read in place, even if it is a view of a SharedArrayBuffer; only of a resizable ArrayBuffer, which may shrink, a copy is
 * taken at the call. Do not change or transfer it before the call's promise is settled: a call whose frame was transferred is
 * rejected.
 */
export interface Frame extends YuvCode {
  readonly data: Uint8Array | Uint8ClampedArray
  /** Pixels, 1 to 65535. */
  readonly width: number
  /** Pixels, 1 to 65535. */
  readonly height: number
  /** Default: rgb, rgba or gray, whichever has exactly the length of `data`. */
  readonly format?: PixelFormat | undefined
  /**
   * Bytes from one row of the first plane to the next; the other planes follow it, their rows padded to as many pixels. Default: no
   * padding.
   */
  readonly stride?: number | undefined
  /** One for each plane of the format, where they do not follow each other as `stride` says: decoders pad planes in height. */
  readonly planes?: readonly FramePlane[] | undefined
}

/** A decoded frame whose bytes are a tensor, of any shape. One in the memory of the model's GPU is read where it lies. */
export interface TensorFrame extends Omit<Frame, 'data'> {
  readonly data: Tensor<'uint8'>
}

/**
 * A decoded frame in memory of the model's GPU that other code of this process allocated, such as a hardware decoder. It is read where
 * it lies, and keeps its bytes until the call is settled. They are there when the call is made, or when its `stream` has done what it
 * has by then. Memory that was freed, is another GPU's or too small is refused.
 */
export interface PointerFrame extends Omit<Frame, 'data' | 'format'> {
  /** The address of its first byte, on the GPU. */
  readonly pointer: bigint
  readonly format: PixelFormat
  /** The stream that writes the frame, as that of {@link TensorOptions.stream}. */
  readonly stream?: bigint | undefined
}

/**
 * A decoded frame as an array of the model's GPU, of `uint8`: height x width, or height x width x 1, 3 or 4 channels, which lie side by
 * side. Rows may have gaps. The memory is as that of a {@link PointerFrame}.
 */
export type CudaArrayFrame = CudaArraySource & {
  /** Default: gray, rgb or rgba, by the number of channels. */
  readonly format?: 'gray' | 'rgb' | 'bgr' | 'rgba' | 'bgra' | 'argb' | 'abgr' | undefined
}

/** Size and format of a frame to be made. */
export interface FrameShape extends YuvCode {
  /** Pixels, 1 to 65535. */
  readonly width: number
  /** Pixels, 1 to 65535. */
  readonly height: number
  /** Default: rgb. */
  readonly format?: PixelFormat | undefined
}

/** A frame to be filled. All its bytes are zero at first: black, but green in YUV formats. It has no padding. */
export interface FrameBuffer extends Frame {
  readonly data: Uint8Array<ArrayBuffer>
  readonly format: PixelFormat
  /** Bytes of a row of the first plane. */
  readonly stride: number
  /** Of a format with more than one plane. */
  readonly planes?: readonly FramePlane[] | undefined
}

/**
 * A picture that is decoded first: a path, `-` for standard input, a file: URL, or the bytes of a file (PNG, JPEG, WebP, AVIF,
 * TIFF, GIF, SVG, BMP, PPM, PGM, PBM, PAM). Pixels are never given as bytes alone, but as a {@link Frame}.
 */
export type EncodedSource = string | URL | Uint8Array

/** A frame whose pixels are there. */
export type DecodedFrame = Frame | TensorFrame | PointerFrame | CudaArrayFrame

/** A decoded frame, or a picture to decode. */
export type FrameSource = DecodedFrame | EncodedSource

const MAX_SIDE = 65_535
const MAX_STRIDE = 2 ** 31 - 1

/** Throws a `FlowError`. The name of the frame is put in front of `message`. */
type Fail = (message: string) => never

/** Whether a source has to be decoded first. */
export function isFile(source: unknown): source is EncodedSource {
  return typeof source === 'string' || isUrl(source) || isUint8Array(source)
}

/**
 * Checks a decoded frame and fills in its defaults.
 *
 * @param name name of the frame in error messages
 * @throws {FlowError} `ERR_FRAME`; the message has the expected and the given value
 */
export function checkFrame(source: DecodedFrame, name: string): NativeFrame {
  const fail = failing(name)
  if (typeof source !== 'object' || source === null || isPromise(source))
    fail(`a frame is { data, width, height }, a path or the bytes of a picture, not ${described(source)}`)
  const frame = isCudaArray(source) ? frameOfArray(source, fail) : source
  const { width, height } = frame
  if (!('pointer' in frame) && typeof (frame as { readonly stream?: unknown }).stream === 'bigint')
    fail('a stream goes with a pointer: give that of a tensor to createTensor')
  const pixels = 'pointer' in frame ? undefined : pixelsOf(frame.data, fail)
  const sized = { ...frame, bytes: pixels && (isOnHost(pixels) ? pixels.length : pixels.bytes) }
  checkSides(width, height, fail)
  if (sized.bytes === 0) fail('its data are empty: if their ArrayBuffer was transferred, give a copy')
  const format = frame.format ?? defaultFormat(sized, fail)
  const row = checkFormat(format, fail)
  const toRgb = conversionOf(frame, format, row, fail)
  const size = `${width} x ${height} ${format}`
  const planes = placePlanes(sized, row, size, fail)
  const data = pixels ?? rangeAt(frame, planes, row.sizes(width, height), fail)
  return { data, width, height, channels: row.channels, toRgb, planes }
}

/**
 * @throws {FlowError} `ERR_FRAME` if the memory of a frame went away after it was checked: who has it now may have changed the
 *   pixels
 */
export function checkKept({ data }: NativeFrame, name: string): void {
  if (!isOnHost(data) || data.length > 0) return
  failing(name)(
    'its ArrayBuffer was transferred or detached while its call waited: keep it until the call is settled, or give a copy',
  )
}

/** Whether the pixels of a frame are in the host's memory. */
export function isOnHost(data: NativeFrame['data']): data is Uint8Array | Uint8ClampedArray {
  return ArrayBuffer.isView(data)
}

function pixelsOf(data: unknown, fail: Fail): NativeFrame['data'] {
  if (isBytes(data)) return isResizable(data) ? new Uint8Array(data) : data
  if (!(data instanceof Tensor))
    fail(
      `its data must be a Uint8Array, Buffer, Uint8ClampedArray or Tensor, not ${described(data)}: give its bytes as new Uint8Array(...)`,
    )
  if (data.dtype !== 'uint8') fail(`its data are a tensor of ${data.dtype}: it must be of uint8`)
  return placeOf(data as Tensor<'uint8'>)
}

/** The formats of an array by its channels, the default first. */
const ARRAY_FORMATS: Readonly<Record<number, readonly PixelFormat[]>> = {
  1: ['gray'],
  3: ['rgb', 'bgr'],
  4: ['rgba', 'bgra', 'argb', 'abgr'],
}

function frameOfArray(source: CudaArrayFrame, fail: Fail): PointerFrame {
  const typestr = typestrOf(source)
  if (typestr !== '|u1') fail(`its typestr must be '|u1', for bytes, not ${described(typestr)}`)
  const { pointer, shape, strides, stream } = checkCudaArray(source, 1, fail)
  const [height, width, channels = 1] = shape
  const formats = ARRAY_FORMATS[channels]
  if (shape.length < 2 || shape.length > 3 || formats === undefined)
    return fail(
      `its shape must be height x width, or height x width x 1, 3 or 4 channels, not ${shape.join(' x ')}: for other formats, give its pointer`,
    )
  const { format = formats[0]! } = source
  if (!formats.includes(format))
    fail(`its format must be ${formats.join(' or ')}, for ${channels} channels, not ${described(format)}`)
  const [pitch, pixel, sample = 1] = strides
  if (pixel !== channels || sample !== 1)
    fail(
      `its strides are ${strides.join(', ')}: the channels of a pixel, and the pixels of a row, must lie side by side`,
    )
  if (pitch! < width! * channels)
    fail(`its rows overlap: a stride of ${pitch!} bytes is less than the ${width! * channels} of a row`)
  return { pointer, width: width!, height: height!, format, stride: pitch!, stream }
}

/** The memory of a {@link PointerFrame}: as much as its planes need. */
function rangeAt(
  frame: object,
  planes: readonly NativePlane[],
  sizes: readonly PlaneSize[],
  fail: Fail,
): NativeRange {
  const { pointer, data, stream } = frame as Readonly<Record<'pointer' | 'data' | 'stream', unknown>>
  if (data !== undefined) fail('it has data and a pointer: give one of them')
  if (!isAddress(pointer)) fail(`its pointer must be an address as a bigint, not ${described(pointer)}`)
  const bytes = Math.max(
    ...sizes.map(({ row, rows }, p) => planes[p]!.offset + planes[p]!.stride * (rows - 1) + row),
  )
  if (stream !== undefined && !isHandle(stream))
    fail(`its stream must be a handle as a bigint, not ${described(stream)}`)
  return { pointer: pointer as bigint, bytes, stream: stream as bigint | undefined }
}

/** A frame whose bytes are counted; undefined are as many as it needs. */
interface SizedFrame extends Omit<Frame, 'data'> {
  readonly bytes: number | undefined
}

/**
 * Makes a frame without padding.
 *
 * @param allocate allocates `bytes` bytes; `what` names them in error messages
 * @throws {FlowError} `ERR_FRAME` for an invalid size or format
 */
export function makeFrame(
  shape: FrameShape,
  allocate: (bytes: number, what: string) => Uint8Array<ArrayBuffer>,
): FrameBuffer {
  const fail = failing('frame')
  if (typeof shape !== 'object' || shape === null)
    fail(`a frame is made from { width, height, format }, not ${described(shape)}`)
  const { width, height, format = 'rgb', range, matrix } = shape
  checkSides(width, height, fail)
  const row = checkFormat(format, fail)
  conversionOf(shape, format, row, fail)
  const { planes, end } = follow(row.sizes(width, height))
  const data = allocate(end, `a ${width} x ${height} ${format} frame`)
  const { stride } = planes[0]!
  const frame = { data, width, height, stride, format, ...(planes.length > 1 && { planes }) }
  return row.isYuv ? { ...frame, range, matrix } : frame
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

function failing(name: string): Fail {
  return (message) => {
    throw new FlowError('ERR_FRAME', `${name}: ${message}`)
  }
}

function checkSides(width: number, height: number, fail: Fail): void {
  for (const [side, value] of Object.entries({ width, height }))
    if (!Number.isInteger(value) || value < 1 || value > MAX_SIDE)
      fail(`its ${side} must be an integer from 1 to ${MAX_SIDE}, not ${described(value)}`)
}

function checkFormat(format: unknown, fail: Fail): FormatRow {
  return formatRow(format) ?? fail(`its format must be one of ${PIXEL_FORMATS.join(', ')}, ${hint(format)}`)
}

/** The names of formats with more than 8 bits a sample: p010, y210, yuv420p10le, gray16, rgb48, nv15. */
const DEEP =
  /^[piyx][023x]1\d|p(?:9|1[0246])(?:le|be)?$|^(?:gray|ya?|rgba?|bgra?|argb|abgr)(?:9|1[0246]|48|64)(?:le|be)?$|^(?:nv15|nv20|x?v30|x2)/

/** What was given instead of a format, and what to do about it. */
function hint(format: unknown): string {
  const given = `not ${described(format)}`
  if (typeof format !== 'string') return given
  const lower = format.toLowerCase()
  if (formatRow(lower) !== undefined) return `${given}: write ${quoted(lower)}`
  const full = lower.replace(/^yuvj/, 'yuv')
  if (full !== lower && formatRow(full) !== undefined)
    return `${given}: give format ${quoted(full)} and range 'full'`
  if (DEEP.test(lower)) return `${given}, which has more than 8 bits a sample: convert it to nv12 or rgb`
  return `${given}: convert it to one of them`
}

/** `toRgb` of a frame in YUV. */
function conversionOf(
  { range, matrix }: YuvCode,
  format: string,
  { isYuv }: FormatRow,
  fail: Fail,
): Int32Array | undefined {
  if (!isYuv) {
    if (range !== undefined || matrix !== undefined)
      fail(`range and matrix are for YUV, and its format is ${format}: leave them out`)
    return undefined
  }
  if (range !== undefined && !YUV_RANGES.includes(range))
    fail(`its range must be ${YUV_RANGES.join(' or ')}, not ${described(range)}`)
  if (matrix !== undefined && !YUV_MATRICES.includes(matrix))
    fail(`its matrix must be one of ${YUV_MATRICES.join(', ')}, not ${described(matrix)}`)
  return yuvToRgb(matrix ?? 'bt601', range ?? 'video')
}

/** Finds the planes of a frame, and checks that all their rows are in its data. */
function placePlanes(frame: SizedFrame, format: FormatRow, size: string, fail: Fail): readonly NativePlane[] {
  const { bytes, width, height, stride, planes } = frame
  const sizes = format.sizes(width, height)
  if (planes !== undefined) return checkPlanes(frame, sizes, size, fail)
  if (stride === undefined) {
    const { planes: placed, end } = follow(sizes)
    if (bytes !== undefined && bytes !== end)
      fail(
        `a ${size} frame is ${end} bytes, its data are ${bytes}: if it is padded, give its stride or planes`,
      )
    return placed
  }
  const least = Math.max(...sizes.map(({ row }, p) => Math.ceil(row / format.strides[p]!)))
  if (!Number.isInteger(stride) || stride < least || stride > MAX_STRIDE)
    fail(
      `its stride must be an integer of at least ${least} bytes (a row of ${size}), not ${described(stride)}`,
    )
  const strides = format.strides.map((part) => part * stride)
  if (!strides.every(Number.isInteger))
    fail(
      `its stride ${stride} cannot be halved for the other planes of ${size}: give planes, [{ offset, stride }, ...]`,
    )
  const { planes: placed, end, padded } = follow(sizes, strides)
  const rows = sizes.reduce((sum, plane) => sum + plane.rows, 0)
  if (bytes !== undefined && bytes < end)
    fail(
      `a ${size} frame of stride ${stride} needs at least ${end} bytes (${rows} rows), its data are ${bytes}`,
    )
  // Bytes between the planes would shift the colours, and nobody would notice.
  if (sizes.length > 1 && bytes !== undefined && bytes > padded)
    fail(
      `a ${size} frame of stride ${stride} is ${padded} bytes, its data are ${bytes}: say where its planes are, ` +
        'planes: [{ offset, stride }, ...]',
    )
  return placed
}

/** Planes one after the other: where they are, where the last row ends, and where its padding ends. */
function follow(sizes: readonly PlaneSize[], strides?: readonly number[]) {
  let [padded, end] = [0, 0]
  const planes = sizes.map(({ row, rows }, p): NativePlane => {
    const stride = strides?.[p] ?? row
    const offset = padded
    padded += stride * rows
    end = padded - stride + row
    return { offset, stride }
  })
  return { planes, end, padded }
}

function checkPlanes(
  frame: SizedFrame,
  sizes: readonly PlaneSize[],
  size: string,
  fail: Fail,
): NativePlane[] {
  const { bytes, format, stride, planes } = frame
  if (format === undefined) fail('a frame with planes needs a format as well')
  if (!Array.isArray(planes) || planes.length !== sizes.length)
    fail(
      `its planes must be a list of ${sizes.length} { offset, stride }, as ${format} has, not ${listOf(planes)}`,
    )
  const placed = (planes as readonly unknown[]).map((plane, p): NativePlane => {
    const { offset, stride: step } = (plane ?? {}) as Partial<FramePlane>
    const { row, rows } = sizes[p]!
    if (!Number.isSafeInteger(offset) || offset! < 0)
      fail(`the offset of its plane ${p} must be an integer of at least 0, not ${described(offset)}`)
    if (!Number.isInteger(step) || step! < row || step! > MAX_STRIDE)
      fail(`the stride of its plane ${p} must be an integer of at least ${row} bytes, not ${described(step)}`)
    const end = offset! + step! * (rows - 1) + row
    if (bytes !== undefined && end > bytes)
      fail(`plane ${p} of a ${size} frame (${rows} rows) ends at byte ${end}, its data are ${bytes} bytes`)
    return { offset: offset!, stride: step! }
  })
  if (stride !== undefined && stride !== placed[0]!.stride)
    fail(
      `its stride is ${described(stride)}, but that of its first plane ${placed[0]!.stride}: give planes alone`,
    )
  return placed
}

function defaultFormat({ bytes, width, height, stride, planes }: SizedFrame, fail: Fail): PixelFormat {
  if (stride !== undefined) return fail('a frame with a stride needs a format as well')
  if (planes !== undefined) return fail('a frame with planes needs a format as well')
  if (bytes === undefined) return fail('a frame at a pointer needs a format as well')
  const pixels = width * height
  if (bytes === 3 * pixels) return 'rgb'
  if (bytes === 4 * pixels) return 'rgba'
  if (bytes === pixels) return 'gray'
  const fitting = PIXEL_FORMATS.filter((name) => follow(formatRow(name)!.sizes(width, height)).end === bytes)
  if (fitting.length > 0)
    return fail(`${bytes} bytes may be ${fitting.join(', ')} or another format: give the format`)
  return fail(
    `${bytes} bytes are not ${width} x ${height} pixels: rgb is ${3 * pixels} bytes, rgba ${4 * pixels}, gray ${pixels}; ` +
      'for another format, or padded rows, give format and stride',
  )
}

function listOf(planes: unknown): string {
  return Array.isArray(planes) ? `${planes.length}` : described(planes)
}
